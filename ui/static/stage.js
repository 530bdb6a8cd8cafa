// The stage: the photo with its faces, alive as a loop, or the result in its place.

/** The colour of a face, the same everywhere. */
const faceColour = (schema, face) => schema.colours[(face - 1) % schema.colours.length];

/** What a face plays, in words. */
function playedText(view, face) {
  const card = view.cards[face] || {};
  if (card.kind === "motion") return motionName(card.motion);
  if (card.kind === "still") return t("kind.still");
  if (card.kind === "free") return t("kind.free");
  const clip = view.clips.find(each => each.id === card.clip);
  return clip ? clipName(clip) : t("card.no_clip");
}

const motionName = name => {
  const text = t(`motion.${name}`);
  return text === `motion.${name}` ? name.replaceAll("_", " ") : text;
};

const isVideo = file => file.type.startsWith("video/") || /\.(mp4|mov|webm|mkv|avi|m4v)$/i.test(file.name);

function Stage({result, arrived, onResult}) {
  const {view, busy, error} = useStudio();
  const photo = view.photo;
  // The presenter stays while a recording takes the photo's place.
  const [presenting, setPresenting] = useState(false);
  const reading = ["set_photo", "set_example", "add_face", "remove_face"].some(action => busy[action]);
  return html`<section class="stage" tabindex="-1" aria-label=${t("stage.label")} aria-busy=${reading}>
    ${result
      ? html`<${ResultView} result=${result} arrived=${arrived} onBack=${() => onResult(null)} />`
      : photo ? html`<${PhotoView} photo=${photo} reading=${reading} onPresent=${() => enterPresenter(() => setPresenting(true))} />` : html`<${Welcome} reading=${reading} />`}
    ${presenting && photo && html`<${Presenter} onClose=${() => setPresenting(false)} />`}
    ${error && ["set_photo", "set_example", "add_face", "remove_face", "restore_faces", "restore"].includes(error.action) && html`<${ErrorLine} text=${error.text} />`}
  </section>`;
}

const ErrorLine = ({text}) => html`<p class="error-line" role="alert">${sentence(text)}</p>`;

/** Buttons that bring a photo: a file, and the camera unless there is no room for it. */
function PhotoSources({compact, camera: withCamera = true}) {
  const {send} = useStudio();
  const input = useRef(null);
  const [camera, setCamera] = useState(false);
  const choose = event => {
    const file = event.target.files[0];
    event.target.value = "";
    if (file) send(file, "set_photo");
  };
  return html`<div class="sources">
    <input type="file" accept="image/*" class="sr" tabindex="-1" ref=${input} onChange=${choose} id="photo-file" aria-label=${t("photo.upload")} />
    <button type="button" class=${compact ? "button" : "button primary"} onClick=${() => input.current.click()}>
      ${compact ? t("photo.replace") : t("photo.upload")}</button>
    ${withCamera && html`<button type="button" class="button" onClick=${() => setCamera(true)}>${t("photo.camera")}</button>`}
    ${camera && html`<${PhotoCamera} onClose=${() => setCamera(false)} />`}
  </div>`;
}

/** Takes a picture with the camera. */
function PhotoCamera({onClose}) {
  const {send} = useStudio();
  const {video, problem} = useCamera({video: {width: {ideal: 1280}, height: {ideal: 720}}, audio: false});
  const take = () => {
    const canvas = document.createElement("canvas");
    canvas.width = video.current.videoWidth;
    canvas.height = video.current.videoHeight;
    canvas.getContext("2d").drawImage(video.current, 0, 0);
    canvas.toBlob(blob => send(new File([blob], "camera.png", {type: "image/png"}), "set_photo"), "image/png");
    onClose();
  };
  return html`<${Dialog} label=${t("photo.camera")} onClose=${onClose}>
    ${problem ? html`<${ErrorLine} text=${problem} />` : html`<video ref=${video} autoplay playsinline muted class="mirrored"></video>`}
    <div class="row">
      <button type="button" class="button primary" disabled=${Boolean(problem)} onClick=${take}>${t("photo.take")}</button>
      <button type="button" class="button" onClick=${onClose}>${t("cancel")}</button>
    </div>
  <//>`;
}

/** A modal dialog with a name; Escape closes it, and focus returns to the button that opened it. */
function Dialog({label, onClose, children, wide}) {
  const dialog = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    const shown = dialog.current;
    shown.showModal();
    return () => {
      // While it is open, nothing outside it can be focused.
      shown.close();
      before?.focus?.();
    };
  }, []);
  return html`<dialog ref=${dialog} class=${`dialog ${wide ? "wide" : ""}`} aria-label=${label} onClose=${onClose} onCancel=${onClose}>
    <h2>${label}</h2>${children}
  </dialog>`;
}

/** The page before the first photo: an example scene, moving, and what can be tried with one click. */
function Welcome({reading}) {
  const {view, act} = useStudio();
  const [first, ...others] = view.examples || [];
  const open = (example, motion = "") => act("set_example", {name: example.name, motion});
  return html`<div class="welcome">
    ${first && html`<button type="button" class="example-scene" id="example" onClick=${() => open(first)} aria-label=${t("example.try")}>
      <${Alive} scene=${first} /><span class="example-call">${t("example.try")}</span>
    </button>`}
    <${DropZone} reading=${reading}>
      <h2>${t("welcome.title")}</h2>
      <p>${t("welcome.how")}</p>
      <${PhotoSources} />
      <p class="hint">${t("welcome.consent")}</p>
    <//>
    ${others.length > 0 && html`<div class="examples" role="group" aria-label=${t("examples")}>
      <h2>${t("examples")}</h2>
      ${others.map(each => html`<button type="button" class="example" key=${each.name} onClick=${() => open(each)}>
        <${Alive} scene=${each} /><span>${t("example.faces", {count: each.faces})}</span>
      </button>`)}
    </div>`}
    ${first?.motions.length > 0 && html`<div class="example-motions" role="group" aria-label=${t("example.motions")}>
      <h2>${t("example.motions")}</h2>
      <div class="motion-row">${first.motions.map(({name, url}) => html`<button type="button" class="motion-tile" key=${name} onClick=${() => open(first, name)}>
        <span class="motion-picture"><${Alive} scene=${{loop: `${url}.mp4`, poster: `${url}.webp`}} /></span><span class="motion-name">${motionName(name)}</span>
      </button>`)}</div>
    </div>`}
  </div>`;
}

/** A picture that moves; it stays still for visitors who prefer reduced motion. */
function Alive({scene}) {
  return scene.loop && !prefersStill()
    ? html`<video src=${scene.loop} poster=${scene.poster} autoplay loop muted playsinline></video>`
    : html`<img src=${scene.poster} alt="" />`;
}

/** A place for dropped and pasted photos. */
function DropZone({children, reading}) {
  const {send} = useStudio();
  const [over, setOver] = useState(false);
  const drop = event => {
    event.preventDefault();
    setOver(false);
    takeDropped(event.dataTransfer.files, send);
  };
  return html`<div class=${`drop-zone ${over ? "over" : ""}`} onDrop=${drop}
      onDragOver=${event => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}>
    ${reading ? html`<p class="reading"><span class="spinner"></span>${t("photo.reading")}</p>` : children}
  </div>`;
}

/** A dropped file becomes the photo; a request or a video of ours restores its scene. */
function takeDropped(files, send) {
  const file = files[0];
  if (!file) return;
  send(file, /\.json$/i.test(file.name) || isVideo(file) ? "restore" : "set_photo");
}

/** The photo with its faces as buttons. */
function PhotoView({photo, reading, onPresent}) {
  const {view, act, send, schema} = useStudio();
  const [alive, setAlive] = useState(true);
  const [drawing, setDrawing] = useState(false);
  const [over, setOver] = useState(0);
  const loop = photo.loop || {};
  const drop = (event, face) => {
    event.preventDefault();
    event.stopPropagation();
    setOver(0);
    const file = event.dataTransfer.files[0];
    if (file && face) send(file, "add_clip", {face});
    else takeDropped(event.dataTransfer.files, send);
  };
  // The still frame shows who plays what to visitors who prefer reduced motion.
  const moving = alive && loop.url && !prefersStill();
  return html`<div class="photo-view">
    <div class="picture" data-loop=${loop.state} style=${`--w:${photo.width || 16};--h:${photo.height || 9}`} onDragOver=${event => event.preventDefault()} onDrop=${event => drop(event, 0)}>
      ${photo.url ? html`<img class="photo" src=${photo.url} alt=${t("photo.alt", {name: photo.name, count: photo.faces.length})} />` : html`<div class="no-picture">${photo.name}</div>`}
      ${alive && loop.frame_url && !moving && html`<img class="layer" src=${loop.frame_url} alt="" />`}
      ${moving && html`<video class="layer" key=${loop.url} src=${loop.url} autoplay loop muted playsinline aria-hidden="true"></video>`}
      ${photo.faces.map(face => html`<button type="button" key=${face.id} class=${`face ${over === face.id ? "over" : ""}`} id=${`face-${face.id}`}
          style=${`${boxStyle(face.box)};--face:${faceColour(schema, face.id)}`}
          aria-label=${t("face.label", {number: face.id, plays: playedText(view, face.id)})}
          onClick=${() => showCard(face.id)} onDrop=${event => drop(event, face.id)}
          onDragOver=${event => { event.preventDefault(); event.stopPropagation(); setOver(face.id); }} onDragLeave=${() => setOver(0)}>
        <span class="number">${face.id}</span>
        <${FaceBadge} face=${face.id} />
        ${face.warnings.length > 0 && html`<span class="warn" title=${face.warnings.map(sentence).join("\n")}>!</span>`}
      </button>`)}
      ${photo.faces.map(face => html`<button type="button" key=${`remove-${face.id}`} class="face-remove" style=${`left:${100 * face.box[2]}%;top:${100 * face.box[1]}%`}
          aria-label=${t("face.remove_label", {number: face.id})} title=${t("face.remove")} onClick=${() => act("remove_face", {face: face.id})}>×</button>`)}
      ${drawing && html`<${FaceDrawing} photo=${photo} onClose=${() => setDrawing(false)} />`}
      ${reading && html`<p class="reading overlay"><span class="spinner"></span>${t("photo.reading")}</p>`}
      ${loop.state === "running" && html`<span class="loop-state"><span class="spinner"></span>${t("loop.running")}</span>`}
    </div>
    ${photo.error && html`<${ErrorLine} text=${photo.error} />`}
    ${loop.error && html`<${ErrorLine} text=${loop.error} />`}
    <div class="row stage-tools">
      <${PhotoSources} compact />
      ${photo.url && html`<button type="button" class="button" aria-pressed=${drawing} onClick=${() => setDrawing(!drawing)}>${t("face.draw")}</button>`}
      ${(loop.url || loop.frame_url) && html`<button type="button" class="button" aria-pressed=${alive} onClick=${() => setAlive(!alive)}>${t(alive ? "loop.stop" : "loop.play")}</button>`}
      ${photo.edited && html`<button type="button" class="button" onClick=${() => act("restore_faces")}>${t("face.restore")}</button>`}
      ${photo.faces.length > 0 && html`<button type="button" class="button" id="present" onClick=${onPresent}>${t("presenter.open")}</button>`}
      <button type="button" class="button quiet" onClick=${() => act("clear_photo")}>${t("photo.remove")}</button>
    </div>
    <p class="hint">${facesText(photo)}</p>
    <${MessageList} messages=${photo.messages} />
  </div>`;
}

const MessageList = ({messages}) =>
  messages?.length ? html`<ul class="messages">${messages.map(text => html`<li key=${sentence(text)}>${sentence(text)}</li>`)}</ul>` : null;

/** What the face plays: a poster of its clip, or the name of its motion. */
function FaceBadge({face}) {
  const {view} = useStudio();
  const card = view.cards[face] || {};
  const clip = card.kind === "clip" && view.clips.find(each => each.id === card.clip);
  return html`<span class="plays">${clip?.poster && html`<img src=${clip.poster} alt="" />`}${playedText(view, face)}</span>`;
}

const boxStyle = ([left, top, right, bottom]) =>
  `left:${100 * left}%;top:${100 * top}%;width:${100 * (right - left)}%;height:${100 * (bottom - top)}%`;

function showCard(face) {
  const card = document.getElementById(`card-${face}`);
  card?.scrollIntoView({block: "nearest", behavior: "smooth"});
  card?.focus({preventScroll: true});
}

/** Draw a box around a face that was missed: by dragging, or with the arrow keys and Enter. */
function FaceDrawing({onClose}) {
  const {act} = useStudio();
  const area = useRef(null);
  const from = useRef(null);
  const [box, setBox] = useState([0.4, 0.3, 0.6, 0.7]);
  useEffect(() => area.current.focus(), []);
  const at = event => {
    const bounds = area.current.getBoundingClientRect();
    const clip = value => Math.min(1, Math.max(0, value));
    return [clip((event.clientX - bounds.left) / bounds.width), clip((event.clientY - bounds.top) / bounds.height)];
  };
  const ordered = ([x, y], [u, v]) => [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
  const finish = async found => {
    onClose();
    if (found[2] - found[0] > 0.005 && found[3] - found[1] > 0.005) await act("add_face", {box: found});
  };
  const down = event => {
    from.current = at(event);
    area.current.setPointerCapture(event.pointerId);
  };
  const move = event => from.current && setBox(ordered(from.current, at(event)));
  const up = event => {
    if (!from.current) return;
    const found = ordered(from.current, at(event));
    from.current = null;
    finish(found);
  };
  const press = event => {
    const step = 0.02;
    const [dx, dy] = {ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step]}[event.key] || [0, 0];
    if (event.key === "Enter") finish(box);
    else if (event.key === "Escape") onClose();
    else if (dx || dy) {
      const [left, top, right, bottom] = box;
      // Shift moves the lower right corner alone.
      const next = event.shiftKey ? [left, top, right + dx, bottom + dy] : [left + dx, top + dy, right + dx, bottom + dy];
      if (next[0] >= 0 && next[1] >= 0 && next[2] <= 1 && next[3] <= 1 && next[2] - next[0] > step && next[3] - next[1] > step) setBox(next);
    } else return;
    event.preventDefault();
  };
  return html`<div class="drawing" ref=${area} tabindex="0" role="application" aria-label=${t("face.draw_how")}
      onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onKeyDown=${press}>
    <div class="drawn" style=${boxStyle(box)}></div>
    <p class="draw-how">${t("face.draw_how")}</p>
  </div>`;
}
