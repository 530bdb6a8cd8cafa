// The page: the stage and the run bar on the left, the cast on the right, the library below.

function Page({first}) {
  const connection = useConnection(first);
  const {view, offline} = connection;
  const [shown, setShown] = useState(null);
  const [, setWords] = useState(language);
  const results = view.results || [];
  const newest = useRef(results[0]?.id);
  const follow = useRef(false);
  useEffect(() => {
    // A new result takes the photo's place.
    if (results[0] && results[0].id !== newest.current) {
      follow.current = focusWasIn(".run");
      setShown(results[0].id);
    }
    newest.current = results[0]?.id;
  }, [results[0]?.id]);
  useEffect(() => {
    if (follow.current) document.getElementById("result")?.focus();
    follow.current = false;
  }, [shown]);
  const result = results.find(each => each.id === shown);
  return html`<${Studio.Provider} value=${connection}>
    <header class="top">
      <h1>FantasyPortrait</h1>
      <p class="tagline">${t("tagline")}</p>
      <${LanguageChoice} onChange=${name => { setLanguage(name); setWords(name); }} />
    </header>
    ${offline && html`<p class="offline" role="alert">${t("offline")}</p>`}
    <main class=${`columns ${view.photo ? "" : "empty"}`}>
      <div class="left">
        <${Stage} result=${result} onResult=${setShown} />
        <${RunPanel} onResult=${setShown} />
      </div>
      <div class="right"><${Cast} /></div>
    </main>
    <${Library} onResult=${setShown} />
    <${Announcer} />
  <//>`;
}

function LanguageChoice({onChange}) {
  return html`<div class="languages" role="group" aria-label=${t("language")}>
    ${Object.entries(LANGUAGES).map(([name, label]) => html`<button type="button" key=${name} lang=${name} class="button small quiet" aria-pressed=${language === name} onClick=${() => onChange(name)}>${label}</button>`)}
  </div>`;
}

const root = element.querySelector(".studio");
const focusWasIn = keepFocus(root);
function begin() {
  if (!props.value?.token || root.dataset.ready) return;
  chooseLanguage(props.value.strings);
  root.dataset.ready = "yes";
  root.removeAttribute("aria-busy");
  render(html`<${Page} first=${props.value} />`, root);
}
watch("value", begin);
begin();
