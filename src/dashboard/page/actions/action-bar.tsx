/** The buttons of what can be done to a selection of a run's machines; each opens the dialog. */
import { useId, useState } from 'react';
import { Link } from 'wouter';
import type { Selection } from '../../api/action.ts';
import type { MachineLine, RunSummary } from '../../api/run.ts';
import { Button } from '../components/button.tsx';
import { serverNow } from '../data/clock.ts';
import { useSession } from '../data/session.tsx';
import { type Offer, offersFor, roleFor } from '../view/offers.ts';
import styles from './action-bar.module.css';
import { ActionDialog } from './action-dialog.tsx';
import { GuardedButton } from './guarded-button.tsx';

export function ActionBar(props: { run: RunSummary; on: Selection; machines: readonly MachineLine[] }) {
  const { run, on, machines } = props;
  const [chosen, setChosen] = useState<Offer | null>(null);
  const [isOpen, setIsOpen] = useState(false);
  const graveId = useId();
  // A window that opens meanwhile changes the run, and with it these.
  const offers = offersFor({ run, on, machines, now: serverNow() });
  const plain = offers.filter(({ isGrave }) => !isGrave);
  const grave = offers.filter(({ isGrave }) => isGrave);
  const isOfRun = on.kind === 'run';
  return (
    <div className={styles.bar}>
      {plain.map((offer) => (
        <OfferButton key={offer.action} offer={offer} onChoose={setChosen} />
      ))}
      {isOpen || grave.length === 0 ? null : (
        <Button aria-expanded={false} aria-controls={graveId} onClick={() => setIsOpen(true)}>
          More actions …
        </Button>
      )}
      <div id={graveId} className={styles.grave} hidden={!isOpen}>
        {isOpen &&
          grave.map((offer) => <OfferButton key={offer.action} offer={offer} onChoose={setChosen} />)}
        {isOpen && grave.length > 0 && (
          <Button look="quiet" aria-expanded={true} aria-controls={graveId} onClick={() => setIsOpen(false)}>
            Fewer
          </Button>
        )}
      </div>
      {isOfRun && (
        <Link href={`/runs/${encodeURIComponent(run.id)}/audit`} className={styles.audit}>
          Audit trail
        </Link>
      )}
      {chosen !== null && (
        <ActionDialog run={run} offer={chosen} onClose={() => setChosen(null)} key={chosen.action} />
      )}
    </div>
  );
}

function OfferButton({ offer, onChoose }: { offer: Offer; onChoose: (offer: Offer) => void }) {
  const { session, may } = useSession();
  const role = roleFor(offer.action);
  const whyNot = may(role)
    ? null
    : `This takes the role ${role}; you are ${session?.user?.role ?? 'not logged in'}.`;
  return (
    <GuardedButton
      whyNot={whyNot}
      look={offer.action === 'approve' || offer.action === 'release' ? 'main' : 'plain'}
      onClick={() => onChoose(offer)}
      aria-haspopup="dialog"
    >
      {offer.label}
    </GuardedButton>
  );
}
