// The clip of a face: its state and people, the clips of the session, and where new ones come from.

const DRIVERS = "video/*,image/*,.json,.csv";
const TAKE = /^webcam take (\d+)$/;

/** The name of a clip; a recording of the webcam is named in the visitor's language. */
function clipName(clip) {
  const take = clip.webcam && TAKE.exec(clip.name);
  return take ? t("webcam.take", {number: take[1]}) : clip.name;
}

/** Length and size of a clip that is checked. */
function clipFacts(clip) {
  const length = clip.duration_s ? t("clip.length", {seconds: clip.duration_s.toFixed(1)}) : t("clip.held");
  return `${length} · ${clip.width} × ${clip.height}`;
}

/** Uploads a driver for a face; `sending` while it is under way. */
function useDriver(face) {
  const {send} = useStudio();
  const [sending, setSending] = useState(false);
  const sendClip = async (file, more = {}) => {
    if (!file) return;
    setSending(true);
    await send(file, "add_clip", {face, ...more});
    setSending(false);
  };
  return {sending, sendClip};
}

function ClipPanel({face, card, set, driver}) {
  const {view, act} = useStudio();
  const input = useRef(null);
  const [recording, setRecording] = useState(false);
  const clip = view.clips.find(each => each.id === card.clip);
  // Once shown it stays: the focus may be in it.
  const choice = useRef(false);
  choice.current = view.clips.length > 0 && (choice.current || view.clips.length > 1 || !clip);
  const choose = event => {
    const file = event.target.files[0];
    event.target.value = "";
    driver.sendClip(file);
  };
  return html`<div class="clip-panel">
    <input type="file" accept=${DRIVERS} class="sr" tabindex="-1" ref=${input} onChange=${choose} aria-label=${t("clip.upload")} />
    ${clip && html`<${ChosenClip} clip=${clip} card=${card} set=${set} face=${face} key=${clip.id} />`}
    ${driver.sending && html`<p class="hint" role="status"><span class="spinner"></span>${t("clip.sending")}</p>`}
    ${choice.current && html`<${ClipChoice} face=${face} card=${card} set=${set} />`}
    <div class="row clip-tools">
      <button type="button" class="button small" onClick=${() => input.current.click()}>${t("clip.upload")}</button>
      <button type="button" class="button small record" onClick=${() => setRecording(true)}><span class="dot" aria-hidden="true"></span>${t("webcam.record")}</button>
      ${clip ? html`<button type="button" class="button small quiet" onClick=${() => act("remove_clip", {clip: clip.id})}>${t("clip.remove")}</button>` : html`<p class="hint">${t("clip.drop")}</p>`}
    </div>
    ${recording && html`<${WebcamDialog} onClose=${() => setRecording(false)} onTake=${file => driver.sendClip(file, {webcam: true})} />`}
  </div>`;
}

/** The clips of the session as posters, for this face to use. */
function ClipChoice({face, card, set}) {
  const {view} = useStudio();
  return html`<fieldset class="field clip-choice">
    <legend class="sr">${t("clip.choose")}</legend>
    <div class="clip-row">${view.clips.map(clip => html`<label class="clip-tile" key=${clip.id} title=${clipName(clip)}>
      <input type="radio" name=${`clip-${face.id}`} value=${clip.id} checked=${card.clip === clip.id} aria-label=${clipName(clip)}
             onChange=${() => set({clip: clip.id, person: null, start_s: 0, end_s: null})} />
      <span class="clip-poster">${clip.poster ? html`<img src=${clip.poster} alt="" />` : clip.state === "failed" ? "!" : html`<span class="spinner"></span>`}</span>
      <span class="motion-name">${clipName(clip)}</span>
    </label>`)}</div>
  </fieldset>`;
}

function ChosenClip({clip, card, set, face}) {
  const checking = ["checking", "waiting"].includes(clip.state);
  return html`<div class="clip-facts">
    <div class="clip-head">
      <${ClipPlayer} clip=${clip} />
      <div class="clip-text">
        ${clip.state === "ready" && html`<p class="hint">${clipFacts(clip)}</p>`}
        ${checking && html`<${Bar} text=${t(`clip.${clip.state}`)} done=${clip.done} total=${clip.total} />`}
        ${clip.error && html`<${ErrorLine} text=${clip.error} />`}
        <${ClipPeople} clip=${clip} card=${card} set=${set} face=${face} />
      </div>
    </div>
    ${clip.state === "ready" && clip.duration_s >= SHORTEST_PART_S * 2 && html`<${Trim} clip=${clip} card=${card} set=${set} face=${face} />`}
    <${MessageList} messages=${clip.messages} />
  </div>`;
}

/** The clip itself, small; its poster where the browser cannot play it, or where it is no video. */
function ClipPlayer({clip}) {
  const [broken, setBroken] = useState(false);
  const still = broken || /\.(json|csv|jpe?g|png|webp|bmp|tiff?|heic|avif)$/i.test(clip.url);
  if (/\.gif$/i.test(clip.url)) return html`<img class="clip-player" src=${clip.url} alt=${clipName(clip)} loading="lazy" />`;
  if (still) return clip.poster ? html`<img class="clip-player" src=${clip.poster} alt=${clipName(clip)} />` : html`<span class="clip-player empty"></span>`;
  return html`<video class="clip-player" src=${clip.url} poster=${clip.poster || undefined} controls controlslist="nofullscreen nodownload noremoteplayback noplaybackrate"
    disablepictureinpicture preload=${clip.poster ? "none" : "metadata"} playsinline loop aria-label=${clipName(clip)} onError=${() => setBroken(true)}></video>`;
}

/** Who of the clip drives this face, and one step that gives its people to all faces. */
function ClipPeople({clip, card, set, face}) {
  const {view, act} = useStudio();
  const people = clip.people;
  if (people.length < 2) return null;
  const faces = view.photo.faces;
  const pairs = faces.slice(0, people.length).map((each, index) => `${people[index].id} → ${each.id}`).join(", ");
  const choices = people.map(person => ({
    value: String(person.id),
    title: t("person", {number: person.id}),
    label: html`<img src=${person.thumb} alt=${t("person", {number: person.id})} />`,
  }));
  // Of a part of the clip another person may be the largest.
  const leader = card.start_s || card.end_s != null ? null : people.find(person => person.leads)?.id;
  return html`<div class="clip-people" title=${card.person == null ? t("clip.largest") : undefined}>
    <${Choice} name=${`person-${face.id}`} label=${t("clip.who")} value=${String(card.person ?? leader)} choices=${choices} onInput=${value => set({person: Number(value)})} />
    ${faces.length > 1 && html`<button type="button" class="button small" title=${t("clip.cast_people_how", {pairs})} onClick=${() => act("cast_people", {clip: clip.id})}>${t("clip.cast_people", {pairs})}</button>`}
  </div>`;
}
