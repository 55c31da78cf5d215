/** The style of all pages. Contrasts are those of WCAG AA, light and dark. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --back: #ffffff; --panel: #f3f5f8; --text: #172033; --soft: #4f5b6e; --line: #c9d0da;
  --accent: #0b57c2; --on-accent: #ffffff; --good: #0a6b3b; --bad: #b3261e; --waiting: #7a4d00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12161d; --panel: #1c222c; --text: #e8ecf2; --soft: #aab4c3; --line: #3a4454;
    --accent: #8ab8ff; --on-accent: #0b1626; --good: #6fd79f; --bad: #ff9c93; --waiting: #f0c067;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 0 1rem 2rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
a { color: var(--accent); }
a:focus-visible, button:focus-visible, input:focus-visible, .scroll:focus-visible {
  outline: 3px solid var(--accent); outline-offset: 2px; }
main:focus { outline: none; }
header { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; padding: .9rem 0;
  border-bottom: 1px solid var(--line); }
header .home { font-weight: 700; font-size: 1.2rem; color: var(--text); text-decoration: none; }
header .what, .who, footer, .count, small { color: var(--soft); }
header nav { margin-left: auto; display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; }
header form { display: flex; gap: .6rem; align-items: center; }
.who { overflow-wrap: anywhere; }
footer { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: .8rem; font-size: .9rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1.4rem 0 .8rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.1rem 0 .3rem; }
.intro { background: var(--panel); border-radius: .5rem; padding: .4rem 1rem; margin-top: 1.2rem; }
button, .button { font: inherit; display: inline-block; padding: .35rem .8rem; border: 1px solid var(--accent);
  border-radius: .35rem; background: var(--back); color: var(--accent); cursor: pointer; text-decoration: none; }
button.primary { background: var(--accent); color: var(--on-accent); }
input { font: inherit; padding: .4rem .6rem; border: 1px solid var(--soft); border-radius: .35rem;
  background: var(--back); color: var(--text); width: 100%; }
.search { display: flex; flex-wrap: wrap; gap: .4rem .6rem; align-items: center; }
.search input { flex: 1 1 14rem; width: auto; }
.sign-in { max-width: 32rem; }
.fields { max-width: 44rem; }
.sign-in label, .fields label, .action label { display: block; font-weight: 600; }
.fields input[type="checkbox"] { width: auto; }
.action { margin: .9rem 0; max-width: 32rem; }
.action:has(table) { max-width: none; }
.action input[type="checkbox"] { width: auto; }
.action th label { display: inline; font-weight: 400; }
.action small { display: block; }
.action button { margin-top: .4rem; }
.workspaces li { margin-bottom: .3rem; }
.mirrors { list-style: none; padding: 0; }
.names { columns: 14rem; overflow-wrap: anywhere; }
.note { border-left: .3rem solid var(--waiting); background: var(--panel); padding: .5rem .8rem; }
.note.bad { border-color: var(--bad); } .note.good { border-color: var(--good); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .5rem .8rem .5rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  font-weight: 400; }
thead th { font-weight: 600; color: var(--soft); }
tbody th { overflow-wrap: anywhere; min-width: 12rem; }
.number { text-align: right; white-space: nowrap; padding-right: 0; }
.state.good { color: var(--good); } .state.bad { color: var(--bad); } .state.waiting { color: var(--waiting); }
.state::before { content: ""; display: inline-block; width: .6em; height: .6em; border-radius: 50%;
  background: currentColor; margin-right: .45em; }
.problem { display: block; color: var(--soft); font-size: .9rem; max-width: 30rem; }
.tag { font-size: .8rem; font-weight: 400; border: 1px solid var(--line); border-radius: 1rem; padding: .05rem .5rem;
  color: var(--soft); vertical-align: middle; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .8rem; margin: 0; }
.facts div { background: var(--panel); border-radius: .5rem; padding: .6rem .9rem; }
.facts dt { color: var(--soft); font-size: .9rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.copyable { display: flex; gap: .5rem; align-items: flex-start; }
.copyable pre { flex: 1; min-width: 0; margin: 0; padding: .5rem .8rem; background: var(--panel); border-radius: .35rem;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.copyable pre.scroll { white-space: pre; }
code { font-family: ui-monospace, monospace; font-size: .92em; }
.chart { display: block; max-width: 100%; margin: .4rem 0 .8rem; }
.chart .published { fill: var(--accent); } .chart .failed { fill: var(--bad); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--panel); border-radius: .5rem; padding: .6rem .9rem; }
figcaption { font-weight: 600; }
.metric { display: block; width: 100%; height: 5rem; margin: .4rem 0; border-bottom: 1px solid var(--line); }
.legend { margin: 0; font-size: .9rem; }
.legend span { display: inline-block; margin-right: .9rem; }
.legend span::before { content: ""; display: inline-block; width: .7em; height: .7em; margin-right: .35em; background: currentColor; }
.series-0 { color: var(--accent); fill: var(--accent); } .series-1 { color: var(--waiting); fill: var(--waiting); }
.series-2 { color: var(--good); fill: var(--good); } .series-3 { color: var(--bad); fill: var(--bad); }
.paging { margin-top: 1rem; display: flex; gap: 1.5rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; background: var(--back); padding: .5rem; }
.visually-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
[hidden], .label { display: none; }
@media (max-width: 36rem) {
  thead { position: absolute; clip-path: inset(50%); }
  tr { display: grid; grid-template-columns: 1fr auto; column-gap: .8rem; padding: .6rem 0; border-bottom: 1px solid var(--line); }
  th, td { border: 0; padding: 0; }
  tbody th { grid-column: 1 / -1; min-width: 0; }
  td:nth-child(2) { grid-column: 1 / -1; }
  .label { display: inline; }
  .facts { grid-template-columns: 1fr 1fr; gap: .5rem; }
  .copyable { flex-direction: column; align-items: stretch; }
  .copyable button { align-self: flex-end; }
  header nav { margin-left: 0; }
}
`;
