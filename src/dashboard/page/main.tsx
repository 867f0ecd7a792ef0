/**
 * The dashboard's page. Where things are, and what holds everywhere:
 *
 *   main.tsx app.tsx   start; which address shows which page (wouter)
 *   theme/             tokens.css (every colour, size and distance, light and dark), base.css (elements)
 *   components/        small parts that know nothing of runs: Button, Dialog, Tabs, Tooltip, Select, Bar, Notice …
 *   status/            shapes and words of statuses, stages and verdicts
 *   data/              api (typed requests), live (server-sent events), useResource, session, clock
 *   view/              pure view logic in plain `.ts` without DOM: tested by test/dashboard/page
 *   shell/             header, navigation, banners
 *   events/            what happened, with its filter: of a machine, of a run's audit trail
 *   runs/ wave/ machine/ workers/ actions/ audit/ login/   one folder per page, `x-page.tsx` its root
 *
 * - Of the rest of Landfall only types of ../api are imported: the server is reached by `data/api.ts` alone.
 * - The content security policy is `default-src 'self'`: no <style> and no style="" in markup. React's `style` prop is fine
 *   (it goes through CSSOM). That is why dialogs and selects are the browser's own: Radix' would insert <style> elements.
 * - Each component has its styles beside it, `x.module.css`, made of tokens only. No other colours, no `!important`.
 * - A colour never stands alone: a shape and a word go with it (status/). Targets are 24 px or more (`--target`).
 * - Text from machines (names, notes, consoles) is put in as text children. Nothing uses dangerouslySetInnerHTML.
 * - Pages set their title and one <h1> by <PageHead>. Tables are tables with a caption.
 * - "Now" is the server's (`useNow`); moments are shown by <Moment>, in the wave's zone with the viewer's beside it.
 * - What is live: `useLive(run)` gives the run, its machines and its latest events; one render per frame at most.
 */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import './theme/tokens.css';
import './theme/base.css';

const place = document.getElementById('page');
if (place === null) throw new Error('index.html has no element #page');
createRoot(place).render(
  <StrictMode>
    <App />
  </StrictMode>,
);
