/** The screen of the guest: as large as there is room, and larger on demand. */
import { useEffect, useState } from 'react';
import { Button } from '../components/button.tsx';
import { Dialog } from '../components/dialog.tsx';
import { Scroller } from '../components/scroller.tsx';
import { Select } from '../components/select.tsx';
import { api } from '../data/api.ts';
import styles from './screenshot.module.css';

const FRESH_MS = 4000;
const ZOOMS = [
  { value: 'fit', text: 'All of it' },
  { value: '1', text: 'As it is' },
  { value: '2', text: 'Twice' },
  { value: '4', text: 'Four times' },
] as const;
type Zoom = (typeof ZOOMS)[number]['value'];

export function Screenshot({ of, isLive }: { of: { run: string; machine: string }; isLive: boolean }) {
  const [fresh, setFresh] = useState(0);
  const [isLarge, setIsLarge] = useState(false);
  const [isBroken, setIsBroken] = useState(false);
  useEffect(() => {
    // Once more when it has come to its end: the picture that is kept is another.
    setFresh((count) => count + 1);
    setIsBroken(false);
    if (!isLive) return;
    const timer = setInterval(() => {
      if (document.hidden) return;
      setFresh((count) => count + 1);
      setIsBroken(false);
    }, FRESH_MS);
    return () => clearInterval(timer);
  }, [isLive]);
  const path = api.screenshotPath({ ...of, fresh });
  const alt = `Screen of ${of.machine} after it booted`;
  return (
    <figure className={styles.figure}>
      <button
        type="button"
        className={styles.frame}
        onClick={() => setIsLarge(true)}
        aria-haspopup="dialog"
        disabled={isBroken}
      >
        {isBroken ? (
          <span className={styles.broken}>The picture does not load.</span>
        ) : (
          <img src={path} alt={alt} onError={() => setIsBroken(true)} />
        )}
        <span className={styles.hint}>Look closer</span>
      </button>
      {isLarge && <LargeScreenshot path={path} alt={alt} onClose={() => setIsLarge(false)} />}
    </figure>
  );
}

function LargeScreenshot({ path, alt, onClose }: { path: string; alt: string; onClose: () => void }) {
  const [zoom, setZoom] = useState<Zoom>('fit');
  const [size, setSize] = useState<{ width: number; height: number } | null>(null);
  const factor = zoom === 'fit' ? null : Number(zoom);
  return (
    <Dialog
      isOpen
      isWide
      title={alt}
      onClose={onClose}
      footer={
        <>
          <Select label="Size" value={zoom} options={ZOOMS} onChange={setZoom} />
          <Button look="main" onClick={onClose}>
            Close
          </Button>
        </>
      }
    >
      <Scroller className={styles.scroller} label="The picture; it scrolls">
        <img
          src={path}
          alt={alt}
          className={styles.large}
          data-zoom={zoom}
          style={factor === null || size === null ? {} : { width: size.width * factor }}
          onLoad={({ currentTarget: { naturalWidth, naturalHeight } }) =>
            setSize({ width: naturalWidth, height: naturalHeight })
          }
        />
      </Scroller>
    </Dialog>
  );
}
