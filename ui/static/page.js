// The page: the stage and the run bar on the left, the cast on the right, the library below.

function Page({first}) {
  const connection = useConnection(first);
  const {view, offline} = connection;
  const [shown, setShown] = useState(null);
  const [, setWords] = useState(language);
  const results = view.results || [];
  const follow = useRef(false);
  const result = results.find(each => each.id === shown);
  const newest = useRef(results[0]?.created_s || 0);
  const [arrived, setArrived] = useState(null);
  useEffect(() => {
    // A new result takes the photo's place; where the latest one was deleted, the one before it is not new.
    if (results[0] && results[0].created_s > newest.current) {
      newest.current = results[0].created_s;
      follow.current = focusWasIn(".run");
      setArrived(results[0].id);
      setShown(results[0].id);
    }
  }, [results[0]?.id]);
  useEffect(() => {
    if (follow.current) document.getElementById("result")?.focus({preventScroll: true});
    follow.current = false;
  }, [shown]);
  // Another photo takes the result's place.
  useEffect(() => { if (!view.photo || !result?.photo.shown) setShown(null); }, [view.photo?.id]);
  return html`<${Studio.Provider} value=${connection}>
    <header class="top">
      <h1>FantasyPortrait</h1>
      <p class="tagline">${t("tagline")}</p>
      <${LanguageChoice} onChange=${name => { setLanguage(name); setWords(name); }} />
    </header>
    ${offline && html`<p class="offline" role="alert">${t("offline")}</p>`}
    <div class=${`columns ${view.photo ? "" : "empty"}`}>
      <div class="left">
        <${Stage} result=${result} arrived=${arrived === shown} onResult=${setShown} />
        <${RunPanel} onResult=${setShown} />
      </div>
      <div class="right"><${Cast} /></div>
    </div>
    <${Library} shown=${shown} onResult=${setShown} />
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
  chooseLanguage(window.gradio_config.i18n_translations);
  root.dataset.ready = "yes";
  root.removeAttribute("aria-busy");
  render(html`<${Page} first=${props.value} />`, root);
}
watch("value", begin);
begin();
