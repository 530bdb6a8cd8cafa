// The cast: a card for each face, and steps for all of them at once.

const KINDS = ["motion", "clip", "still"];

function Cast() {
  const {view, act, schema} = useStudio();
  const faces = view.photo?.faces || [];
  if (!faces.length) return null;
  return html`<section class="cast" tabindex="-1" aria-label=${t("cast.label")}>
    <div class="row cast-tools">
      <h2>${t("cast.label")}</h2>
      ${faces.length > 1 && html`<button type="button" class="button small" onClick=${() => act("shuffle")}>${t("cast.shuffle")}</button>`}
      ${faces.length === 2 && html`<button type="button" class="button small" onClick=${() => act("swap", {face: 1, other: 2})}>${t("cast.swap")}</button>`}
      <button type="button" class="button small" onClick=${() => act("all_still")}>${t("cast.all_still")}</button>
    </div>
    ${faces.map(face => html`<${Card} key=${face.id} face=${face} />`)}
  </section>`;
}

function Card({face}) {
  const {view, act, schema, error} = useStudio();
  const card = view.cards[face.id];
  const set = changes => act("set_card", {face: face.id, changes}, copy => Object.assign(copy.cards[face.id], changes));
  const kinds = [...KINDS, ...(schema.wan ? ["free"] : [])].map(kind => ({value: kind, label: t(`kind.${kind}`)}));
  const count = view.photo.faces.length;
  return html`<article class="card" id=${`card-${face.id}`} tabindex="-1" aria-label=${t("face.name", {number: face.id})} style=${`--face:${faceColour(schema, face.id)}`}>
    <header>
      <img src=${face.thumb} alt="" />
      <h3><span class="number">${face.id}</span>${playedText(view, face.id)}</h3>
      ${count > 1 && html`<button type="button" class="button small quiet" onClick=${() => act("same_for_all", {face: face.id})}>${t("cast.same")}</button>`}
    </header>
    <${MessageList} messages=${face.warnings} />
    <${Choice} name=${`kind-${face.id}`} label=${t("card.kind")} hideLabel value=${card.kind} choices=${kinds} onInput=${kind => set({kind})} />
    ${card.kind === "motion" && html`<${MotionPanel} face=${face} card=${card} set=${set} />`}
    ${card.kind === "clip" && html`<${ClipPanel} face=${face} card=${card} set=${set} />`}
    ${card.kind === "free" && html`<p class="hint">${t("card.free")}</p>`}
    ${["motion", "clip"].includes(card.kind) && html`<${Adjust} face=${face} card=${card} set=${set} />`}
  </article>`;
}

/** The gallery of built-in motions. */
function MotionPanel({face, card, set}) {
  const {schema} = useStudio();
  const choices = schema.motions.map(motion => ({value: motion.name, label: motionName(motion.name), title: motion.about}));
  return html`<${Choice} name=${`motion-${face.id}`} label=${t("card.motion")} hideLabel value=${card.motion} choices=${choices} onInput=${motion => set({motion})} />`;
}

/** The clip of a face: one of the session's, or a new upload. */
function ClipPanel({face, card, set}) {
  const {view, send} = useStudio();
  const input = useRef(null);
  const clip = view.clips.find(each => each.id === card.clip);
  const choose = event => {
    const file = event.target.files[0];
    event.target.value = "";
    if (file) send(file, "add_clip", {face: face.id});
  };
  return html`<div class="clip-panel">
    <input type="file" accept="video/*,image/*" class="sr" tabindex="-1" ref=${input} onChange=${choose} aria-label=${t("clip.upload")} />
    ${clip && html`<${ClipFacts} clip=${clip} card=${card} set=${set} face=${face} />`}
    <div class="row">
      <button type="button" class="button small" onClick=${() => input.current.click()}>${t("clip.upload")}</button>
    </div>
  </div>`;
}

function ClipFacts({clip, card, set, face}) {
  const people = clip.people || [];
  const choices = people.map(person => ({value: String(person.id), label: html`<img src=${person.thumb} alt=${t("person", {number: person.id})} />`}));
  return html`<div class="clip-facts">
    <p class="clip-name">${clip.name}</p>
    ${clip.state === "checking" || clip.state === "waiting" ? html`<${Bar} text=${t(`clip.${clip.state}`)} done=${clip.done} total=${clip.total} />` : null}
    ${clip.error && html`<${ErrorLine} text=${clip.error} />`}
    <${MessageList} messages=${clip.messages} />
    ${people.length > 1 && html`<${Choice} name=${`person-${face.id}`} label=${t("clip.who")} value=${String(card.person ?? people[0].id)} choices=${choices} onInput=${value => set({person: Number(value)})} />`}
  </div>`;
}

/** A progress bar with its text. */
function Bar({text, done, total}) {
  return html`<div class="bar"><p>${text}</p><progress max=${total || undefined} value=${total ? done : undefined} aria-label=${text}></progress></div>`;
}

function Adjust({face, card, set}) {
  const {schema} = useStudio();
  const {strength, mirror} = schema.card;
  const toggle = (name, on) => set({regions: schema.regions.map(each => each.value).filter(each => (each === name ? on : card.regions.includes(each)))});
  return html`<details class="adjust">
    <summary>${t("card.adjust")}</summary>
    <${Slider} id=${`strength-${face.id}`} label=${optionText(strength, "label")} value=${card.strength} range=${strength.range} onInput=${value => set({strength: value})} />
    <fieldset class="field"><legend>${t("card.regions")}</legend>
      <div class="row">${schema.regions.map(region => html`<${Switch} key=${region.value} label=${choiceText({name: "regions"}, region)} value=${card.regions.includes(region.value)} onInput=${on => toggle(region.value, on)} />`)}</div>
    </fieldset>
    <${Switch} label=${optionText(mirror, "doc")} value=${card.mirror} onInput=${value => set({mirror: value})} />
  </details>`;
}
