// The cast: a card for each face, and steps for all of them at once.

const KINDS = ["motion", "clip", "still"];
const CAST_ACTIONS = ["set_card", "same_for_all", "swap", "shuffle", "all_still", "cast_people", "add_clip", "remove_clip"];
/** With more faces than this, cards are folded until they are used. */
const OPEN_CARDS = 3;

function Cast() {
  const {view, act, error} = useStudio();
  const faces = view.photo?.faces || [];
  if (!faces.length) return null;
  const shown = error && CAST_ACTIONS.includes(error.action) && !faces.some(face => face.id === error.face);
  return html`<section class="cast" tabindex="-1" aria-label=${t("cast.label")}>
    <div class="row cast-tools">
      <h2>${t("cast.label")}</h2>
      ${faces.length > 1 && html`<button type="button" class="button small quiet" onClick=${() => act("shuffle")}>${t("cast.shuffle")}</button>`}
      ${faces.length === 2 && html`<button type="button" class="button small quiet" onClick=${() => act("swap", {face: faces[0].id, other: faces[1].id})}>${t("cast.swap")}</button>`}
      <button type="button" class="button small quiet" onClick=${() => act("all_still")}>${t("cast.all_still")}</button>
    </div>
    ${shown && html`<${ErrorLine} text=${error.text} />`}
    ${faces.map((face, index) => html`<${Card} key=${face.id} face=${face} folds=${faces.length > OPEN_CARDS} first=${index === 0} />`)}
  </section>`;
}

/** What one face plays. Files that are dropped on it become its clip. */
function Card({face, folds, first}) {
  const {view, act, schema, error} = useStudio();
  const card = view.cards[face.id];
  const [open, setOpen] = useState(!folds || first);
  const [over, setOver] = useState(false);
  const driver = useDriver(face.id);
  const set = changes => {
    setOpen(true);
    return act("set_card", {face: face.id, changes}, copy => Object.assign(copy.cards[face.id], changes));
  };
  const kinds = [...KINDS, ...(schema.wan ? ["free"] : [])].map(kind => ({value: kind, label: t(`kind.${kind}`)}));
  const drop = event => {
    event.preventDefault();
    setOver(false);
    setOpen(true);
    driver.sendClip(event.dataTransfer.files[0]);
  };
  const leave = event => !event.currentTarget.contains(event.relatedTarget) && setOver(false);
  const shown = open || !folds;
  return html`<article class=${`card ${over ? "over" : ""}`} id=${`card-${face.id}`} tabindex="-1" aria-label=${t("face.name", {number: face.id})}
      style=${`--face:${faceColour(schema, face.id)}`} onDrop=${drop} onDragOver=${event => { event.preventDefault(); setOver(true); }} onDragLeave=${leave}
      onFocus=${event => event.target === event.currentTarget && setOpen(true)}>
    <header>
      <span class="face-thumb"><img src=${face.thumb} alt="" /><span class="number" aria-hidden="true">${face.id}</span></span>
      <div class="card-title"><h3 title=${playedText(view, face.id)}>${playedText(view, face.id)}</h3><p class="hint">${t("face.name", {number: face.id})}</p></div>
      <${Choice} name=${`kind-${face.id}`} label=${t("card.kind")} hideLabel value=${card.kind} choices=${kinds} onInput=${kind => set({kind})} />
      <${CardMenu} face=${face} />
      ${folds && html`<button type="button" class="button small quiet fold" aria-expanded=${shown} aria-label=${t("card.fold", {number: face.id})} onClick=${() => setOpen(!shown)}><span aria-hidden="true">${shown ? "▴" : "▾"}</span></button>`}
    </header>
    <${MessageList} messages=${face.warnings} />
    ${error && CAST_ACTIONS.includes(error.action) && error.face === face.id && html`<${ErrorLine} text=${error.text} />`}
    ${shown && card.kind === "motion" && html`<${MotionPanel} face=${face} card=${card} set=${set} />`}
    ${shown && card.kind === "clip" && html`<${ClipPanel} face=${face} card=${card} set=${set} driver=${driver} />`}
    ${shown && card.kind === "free" && html`<p class="hint">${t("card.free")}</p>`}
    ${shown && ["motion", "clip"].includes(card.kind) && html`<${Adjust} face=${face} card=${card} set=${set} />`}
  </article>`;
}

/** Steps that take this face and others: the same for all, and swaps. It closes by Escape, and when focus leaves it. */
function CardMenu({face}) {
  const {view, act} = useStudio();
  const menu = useRef(null);
  const others = view.photo.faces.filter(each => each.id !== face.id);
  if (!others.length) return null;
  const close = () => {
    menu.current.open = false;
  };
  const choose = (action, args) => {
    close();
    menu.current.querySelector("summary").focus();
    act(action, {face: face.id, ...args});
  };
  const press = event => {
    if (event.key !== "Escape" || !menu.current.open) return;
    close();
    menu.current.querySelector("summary").focus();
    event.stopPropagation();
  };
  const leave = event => event.relatedTarget && !menu.current.contains(event.relatedTarget) && close();
  useEffect(() => {
    const outside = event => menu.current && !menu.current.contains(event.target) && close();
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, []);
  return html`<details class="card-menu" ref=${menu} onKeyDown=${press} onFocusOut=${leave}>
    <summary class="button small quiet" aria-label=${t("card.more", {number: face.id})}><span aria-hidden="true">⋯</span></summary>
    <div class="menu">
      <button type="button" onClick=${() => choose("same_for_all", {})}>${t("cast.same")}</button>
      ${others.map(each => html`<button type="button" key=${each.id} onClick=${() => choose("swap", {other: each.id})}>${t("cast.swap_with", {number: each.id})}</button>`)}
    </div>
  </details>`;
}

/** A progress bar with its text. */
function Bar({text, done, total}) {
  return html`<div class="bar"><p>${text}</p><progress max=${total || undefined} value=${total ? done : undefined} aria-label=${text}></progress></div>`;
}

/** How the face follows its driver; the summary counts what differs from the default. */
function Adjust({face, card, set}) {
  const {schema, view} = useStudio();
  const {strength, mirror} = schema.card;
  const names = schema.regions.map(each => each.value);
  const plain = {strength: strength.default, mirror: false, regions: names, smoothing: null, ...(card.kind === "clip" ? {delay_s: 0, fill: null} : {})};
  const changed = Object.entries(plain).filter(([name, value]) => String(card[name]) !== String(value));
  const toggle = (name, on) => set({regions: names.filter(each => (each === name ? on : card.regions.includes(each)))});
  const smoothing = schema.options.find(option => option.name === "smoothing");
  const fill = schema.options.find(option => option.name === "fill");
  const general = view.options.smoothing ?? smoothing.default;
  const fills = [{value: "", label: t("card.as_all")}, ...fill.choices.map(choice => ({value: choice.value, label: choiceText(fill, choice)}))];
  return html`<details class="adjust">
    <summary>${changed.length ? t("card.adjusted", {count: changed.length}) : t("card.adjust")}</summary>
    <div class="adjust-fields">
      <${Slider} id=${`strength-${face.id}`} label=${optionText(strength, "label")} value=${card.strength} range=${strength.range} onInput=${value => set({strength: value})} />
      <${Slider} id=${`smoothing-${face.id}`} label=${t("card.smoothing")} value=${Math.round(card.smoothing == null ? general : 100 * card.smoothing)} range=${smoothing.range} unit=" %" onInput=${value => set({smoothing: value / 100})} />
      <fieldset class="field"><legend>${t("card.regions")}</legend>
        <div class="row">${schema.regions.map(region => html`<${Switch} key=${region.value} label=${choiceText({name: "regions"}, region)} value=${card.regions.includes(region.value)} onInput=${on => toggle(region.value, on)} />`)}</div>
      </fieldset>
      <${Switch} label=${optionText(mirror, "doc")} value=${card.mirror} onInput=${value => set({mirror: value})} />
      ${card.kind === "clip" && html`<${Entry} id=${`delay-${face.id}`} label=${t("card.delay")} kind="number" value=${card.delay_s} onInput=${value => set({delay_s: Math.max(0, value || 0)})} />
        <${Choice} name=${`fill-${face.id}`} label=${t("card.fill")} value=${card.fill ?? ""} choices=${fills} onInput=${value => set({fill: value || null})} />`}
      ${changed.length > 0 && html`<button type="button" class="button small quiet reset" onClick=${() => set(plain)}>${t("card.reset")}</button>`}
    </div>
  </details>`;
}
