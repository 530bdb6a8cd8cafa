// The result on the stage: the video over its photo, the side by side, downloads, a link and texts to copy.

const DRIFT_S = 0.08;
/** Show the stage, from wherever on the page. */
const showStage = () => document.querySelector(".stage")?.scrollIntoView({block: "start", behavior: canMove() ? "smooth" : "auto"});

const MAKING = ["waiting", "running"];
const canMove = () => !prefersStill();

/** The result in the photo's place; `arrived` where it has just been made. */
function ResultView({result, arrived, onBack}) {
  const {act, error} = useStudio();
  const place = useRef(null);
  const video = useRef(null);
  const [beside, setBeside] = useState(false);
  const [cut, setCut] = useState(null);
  useEffect(() => {
    if (!arrived) return;
    place.current.scrollIntoView({block: "start", behavior: canMove() ? "smooth" : "auto"});
  }, [result.id]);
  const side = result.downloads.side_by_side;
  const toggleSide = () => {
    setBeside(!beside);
    if (!beside && ["none", "failed"].includes(side.state)) act("make_download", {job: result.id, kind: "side_by_side"});
  };
  return html`<section class="result-view" id="result" tabindex="-1" ref=${place} aria-label=${t("result.label")}>
    ${!result.photo.shown && html`<p class="other-photo">
      ${result.photo.thumb && html`<img src=${result.photo.thumb} alt="" />`}<span>${t("result.other_photo", {name: result.photo.name})}</span></p>`}
    <${Comparison} result=${result} video=${video} cut=${cut} onCut=${setCut} />
    ${beside && html`<${SideBySide} key=${`${result.id}-side`} result=${result} leader=${video} />`}
    <div class="row">
      <button type="button" class="button" id="back" onClick=${onBack}>${t("result.back")}</button>
      ${result.photo.thumb && html`<button type="button" class="button" id="compare" aria-pressed=${cut !== null} onClick=${() => setCut(cut === null ? 50 : null)}>${t("result.compare")}</button>`}
      ${isRepeatable(result) && html`<button type="button" class="button" id="side-by-side" aria-pressed=${beside} onClick=${toggleSide}>${t("result.side_by_side")}</button>`}
      <${SceneButtons} result=${result} onUsed=${onBack} />
      <${PhotoSources} compact camera=${false} />
    </div>
    <${Facts} result=${result} />
    <${MessageList} messages=${result.messages} />
    <${DownloadRow} result=${result} />
    <${ShareRow} result=${result} />
    <${CopyRow} key=${`${result.id}-copy`} result=${result} />
    ${error && RESULT_ACTIONS.includes(error.action) && html`<${ErrorLine} text=${error.text} />`}
  </section>`;
}

const RESULT_ACTIONS = ["make_download", "share", "unshare", "other_engine", "use_settings"];

/** The video with the photo over its left part; a native range, which keys move too, sets how wide that part is. */
function Comparison({result, video, cut, onCut}) {
  const range = useRef(null);
  const on = cut !== null;
  useEffect(() => { if (on) range.current.focus({preventScroll: true}); }, [on]);
  return html`<div class="comparison">
    <div class="compared" style=${`--cut:${cut ?? 0}%`}>
      <video ref=${video} src=${result.video} poster=${result.poster} autoplay=${canMove()} loop controls playsinline aria-label=${t("result.alt", {seconds: shortSeconds(result.duration_s)})}></video>
      ${on && html`<img class="before" src=${result.photo.thumb} alt="" />
        <span class="cut" aria-hidden="true"></span>
        <span class="side-name left-name" aria-hidden="true">${t("result.before")}</span><span class="side-name right-name" aria-hidden="true">${t("result.after")}</span>
        <input type="range" ref=${range} class="cut-range" id="before-after" min="0" max="100" step="1" value=${cut} aria-label=${t("result.compare_how")} onInput=${event => onCut(Number(event.target.value))} />`}
    </div>
  </div>`;
}

/** The video of drivers, photo and result, kept in step with the result: it plays, stops and jumps with it. */
function SideBySide({result, leader}) {
  const follower = useRef(null);
  const {url, state} = result.downloads.side_by_side;
  useEffect(() => {
    const [lead, follow] = [leader.current, follower.current];
    if (!lead || !follow) return undefined;
    const jump = () => { follow.currentTime = Math.min(lead.currentTime, follow.duration || lead.currentTime); };
    const play = () => { jump(); follow.play().catch(() => {}); };
    const pause = () => { follow.pause(); jump(); };
    const drift = () => { if (!lead.paused && Math.abs(follow.currentTime - lead.currentTime) > DRIFT_S) jump(); };
    const pace = () => { follow.playbackRate = lead.playbackRate; };
    const listeners = {play, pause, seeking: jump, seeked: jump, timeupdate: drift, ratechange: pace};
    Object.entries(listeners).forEach(([name, listener]) => lead.addEventListener(name, listener));
    follow.addEventListener("loadeddata", () => (lead.paused ? jump() : play()));
    return () => Object.entries(listeners).forEach(([name, listener]) => lead.removeEventListener(name, listener));
  }, [url]);
  if (!url) return html`<${Making} download=${result.downloads.side_by_side} label=${t("result.side_by_side")} />`;
  return html`<video class="beside" id="beside" ref=${follower} src=${url} muted playsinline aria-label=${t("result.side_by_side")}></video>`;
}

/** The progress or the error of a file that is being made. */
function Making({download, label}) {
  if (download.state === "failed") return html`<${ErrorLine} text=${download.error} />`;
  if (!MAKING.includes(download.state)) return null;
  return html`<${Bar} text=${t("download.making", {name: label})} done=${download.done} total=${download.total} />`;
}

const shortSeconds = number => number.toFixed(number < 10 ? 1 : 0);
const clockTime = time => new Date(1000 * time).toLocaleTimeString(language, {hour: "2-digit", minute: "2-digit"});

function Facts({result}) {
  const facts = [
    ["length", t("fact.length_value", {seconds: shortSeconds(result.duration_s)})],
    ["frames", result.frames],
    ["engine", t(`fact.engine.${result.engine}`)],
    ...(result.seed == null ? [] : [["seed", result.seed]]),
    ["faces", playsText(result)],
    ["expires", t("fact.expires_value", {time: clockTime(result.expires_s)})],
  ];
  return html`<dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${t(`fact.${name}`)}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** What each face plays, in words. */
const playsText = result =>
  result.plays.map(({face, kind, name}) => `${face}: ${kind === "motion" ? motionName(name) : name || t(`kind.${kind}`)}`).join(", ");

/** Whether a request makes the result again; none repeats what a camera showed in presenter mode. */
const isRepeatable = result => Boolean(result.request);

/** A new render with the settings of a result, or these settings on the page. */
function SceneButtons({result, onUsed}) {
  const {act, schema} = useStudio();
  const other = result.engine === "wan" ? "preview" : "wan";
  return html`
    ${isRepeatable(result) && html`<button type="button" class="button" onClick=${() => act("duplicate", {job: result.id})}>${t("result.again")}</button>`}
    <button type="button" class="button" id="use-settings" onClick=${() => act("use_settings", {job: result.id}).then(onUsed)}>${t("result.use")}</button>
    ${schema.wan && isRepeatable(result) && html`<button type="button" class="button" onClick=${() => act("other_engine", {job: result.id})}>${t(`result.other.${other}`)}</button>`}`;
}

/** Downloads: the video at once, other formats once they are made. */
function DownloadRow({result}) {
  const {act} = useStudio();
  const stem = (result.photo.name || "photo").replace(/\.\w{1,5}$/, "");
  const kinds = [["webm", "webm"], ["gif", "gif"], ["png", "frames.zip"]];
  const side = result.downloads.side_by_side.url;
  return html`<div class="downloads" role="group" aria-label=${t("download.label")}>
    <span class="row-name" aria-hidden="true">${t("download.label")}</span>
    <a class="button small primary" id="download-mp4" download=${`${stem}.animated.mp4`} href=${result.video}>MP4</a>
    ${kinds.map(([kind, ending]) => html`<${Download} key=${kind} download=${result.downloads[kind]} label=${t(`download.${kind}`)}
      name=${`${stem}.animated.${ending}`} onMake=${() => act("make_download", {job: result.id, kind})} />`)}
    ${side && html`<a class="button small" download=${`${stem}.side-by-side.mp4`} href=${side}>${t("download.side_by_side")}</a>`}
    ${isRepeatable(result) && html`<a class="button small" download=${`${stem}.request.json`} href=${result.request}>${t("download.request")}</a>`}
  </div>`;
}

/** One format: a button that asks for it, its progress, then a link; what was asked for here is saved by itself. */
function Download({download, label, name, onMake}) {
  const asked = useRef(false);
  const link = useRef(null);
  useEffect(() => {
    if (!asked.current || !download.url) return;
    asked.current = false;
    link.current.click();
  }, [download.url]);
  if (download.url) return html`<a class="button small" ref=${link} download=${name} href=${download.url}>${label}</a>`;
  const making = MAKING.includes(download.state);
  const part = download.total ? ` ${Math.floor((100 * download.done) / download.total)} %` : "";
  return html`<button type="button" class="button small" disabled=${making} onClick=${() => { asked.current = true; onMake(); }}>
    ${making && html`<span class="spinner"></span>`}${label}${making ? part : ""}</button>
    ${download.state === "failed" && html`<${ErrorLine} text=${download.error} />`}`;
}

/** A link to this result alone, made only when it is asked for. */
function ShareRow({result}) {
  const {act} = useStudio();
  const address = result.link && new URL(result.link, document.baseURI).href;
  return html`<div class="downloads" role="group" aria-label=${t("share.label")}>
    <span class="row-name" aria-hidden="true">${t("share.label")}</span>
    ${address
      ? html`<input type="text" class="address" id="share-address" readonly value=${address} aria-label=${t("share.address")} onFocus=${event => event.target.select()} />
        <${CopyButton} label=${t("copy.link")} text=${async () => address} />
        <button type="button" class="button small" onClick=${() => act("unshare", {job: result.id})}>${t("share.take_back")}</button>
        <p class="hint">${t("share.who", {time: clockTime(result.expires_s)})}</p>`
      : html`<button type="button" class="button small" id="share" onClick=${() => act("share", {job: result.id})}>${t("share.make")}</button>`}
  </div>`;
}

/** The request as a command, a Python program and JSON. */
function CopyRow({result}) {
  if (!isRepeatable(result)) return null;
  const text = kind => async () => (await (await fetch(result.texts)).json())[kind];
  return html`<div class="downloads" role="group" aria-label=${t("copy.label")}>
    <span class="row-name" aria-hidden="true">${t("copy.label")}</span>
    ${["command", "python", "json"].map(kind => html`<${CopyButton} key=${kind} label=${t(`copy.${kind}`)} text=${text(kind)} />`)}
  </div>`;
}

/** Copies a text; where the browser refuses the clipboard, as on plain http, it shows the text to copy by hand. */
function CopyButton({label, text}) {
  const [state, setState] = useState("");
  const [shown, setShown] = useState("");
  const copy = async () => {
    let found = "";
    try {
      found = await text();
      await navigator.clipboard.writeText(found);
      setState(t("copy.done"));
      setTimeout(() => setState(""), 3000);
    } catch (problem) {
      console.warn(problem);
      if (found) setShown(found);
      else setState(t("copy.failed"));
    }
  };
  return html`<button type="button" class="button small" onClick=${copy}>${label}</button>
    <span class="copied" role="status">${state}</span>
    ${shown && html`<${Dialog} label=${label} onClose=${() => setShown("")}>
      <textarea readonly rows="10" class="to-copy" onFocus=${event => event.target.select()}>${shown}</textarea>
      <div class="row"><button type="button" class="button" onClick=${() => setShown("")}>${t("close")}</button></div>
    <//>`}`;
}
