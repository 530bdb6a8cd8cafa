// Presenter mode: the scene fills the screen, and the camera drives one of its faces live.

const CAMERA_WIDTH = 480;
const CAMERA_QUALITY = 0.8;
const MAX_RECORDING_S = 60;
const QUIET_MS = 3000;
/** The name of the user timing measure of each shown frame: from the camera's picture to the screen. */
const FRAME_MEASURE = "presenter-frame";

/** Enter full screen where the browser allows it, and show the presenter; without it the page's window is filled. */
async function enterPresenter(open) {
  try {
    // Before the dialog opens: of two elements in the top layer the later one is in front.
    await document.documentElement.requestFullscreen?.({navigationUI: "hide"});
  } catch (problem) {
    console.info(problem);
  }
  open();
}

function Presenter({onClose}) {
  const {view, act, live, schema} = useStudio();
  const faces = view.photo.faces.map(face => face.id);
  const [face, setFace] = useState(faces[0]);
  const [opened, setOpened] = useState(false);
  const [problem, setProblem] = useState("");
  const [quiet, stir] = useQuiet();
  const camera = useCamera({video: {width: {ideal: 640}, height: {ideal: 480}, frameRate: {ideal: 30}}, audio: false});
  const canvas = useRef(null);
  const ready = opened && !problem;
  const {figures, lost} = useLiveFrames({...camera, canvas, face, live, running: ready, onProblem: setProblem});
  const [recording, setRecording] = useState(false);
  const [refusal, setRefusal] = useState("");
  const working = useRef(false);
  const left = useRef(false);

  const start = async () => {
    const {error} = await act("present");
    setProblem(error);
    setOpened(!error);
    setRecording(false);
  };
  /** Carry out an action, one at a time; a refusal is shown here, as the page is hidden. */
  const run = async action => {
    if (!ready || working.current) return false;
    working.current = true;
    const {error} = await act(action);
    working.current = false;
    setRefusal(error);
    return !error;
  };
  const record = async () => {
    if (await run(recording ? "stop_recording" : "start_recording")) setRecording(!recording);
  };
  const leave = () => {
    if (left.current) return;
    left.current = true;
    if (document.fullscreenElement) document.exitFullscreen();
    act("end_presenting");
    onClose();
  };
  useEffect(() => {
    start();
  }, []);
  const full = recording && figures.recorded_s >= MAX_RECORDING_S;
  useEffect(() => {
    if (full) record();
  }, [full]);
  // Escape in full screen ends the full screen, and the page gets no key.
  useEffect(() => {
    const changed = () => document.fullscreenElement || leave();
    document.addEventListener("fullscreenchange", changed);
    return () => document.removeEventListener("fullscreenchange", changed);
  }, []);
  const press = event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const key = event.key.toLowerCase();
    if (faces.includes(Number(key))) setFace(Number(key));
    else if (key === "r") record();
    else if (key === "c") run("recalibrate");
    else return stir();
    event.preventDefault();
    // A focused control would keep the controls in sight of the audience.
    dialog.current.focus();
  };

  const dialog = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    const shown = dialog.current;
    shown.showModal();
    shown.focus();
    return () => {
      shown.close();
      before?.focus?.();
    };
  }, []);
  return html`<dialog ref=${dialog} id="presenter" tabindex="-1" class=${`presenter ${quiet ? "quiet" : ""}`} aria-label=${t("presenter")}
      onCancel=${event => { event.preventDefault(); leave(); }} onKeyDown=${press} onPointerMove=${stir} onPointerDown=${stir}>
    <canvas ref=${canvas} class="scene" role="img" aria-label=${t("presenter.scene", {face})}></canvas>
    <video ref=${camera.video} class="self mirrored" autoplay playsinline muted aria-label=${t("presenter.self")} hidden=${!camera.ready}></video>
    <div class="presenter-messages">
      <div class="live-state" role="status">${liveState({problem, lost, opened, figures, camera})}</div>
      ${camera.problem && html`<${ErrorLine} text=${camera.problem} />`}
      ${problem && html`<${ErrorLine} text=${problem} />`}
      ${refusal && html`<${ErrorLine} text=${refusal} />`}
      ${problem && html`<button type="button" class="button primary" onClick=${start}>${t("presenter.again")}</button>`}
    </div>
    ${recording && html`<div class="recorded"><span class="dot"></span>${t("presenter.seconds", {seconds: Math.floor(figures.recorded_s || 0)})}</div>`}
    <div class="presenter-controls">
      <div class="row" role="group" aria-label=${t("presenter.face")}>
        ${faces.map(each => html`<button type="button" key=${each} class="button live-face" style=${`--face:${faceColour(schema, each)}`} aria-pressed=${each === face}
            aria-label=${t("presenter.face_label", {number: each, plays: playedText(view, each)})} onClick=${() => setFace(each)}><span class="number">${each}</span></button>`)}
      </div>
      <button type="button" class="button record" aria-pressed=${recording} disabled=${!ready} onClick=${record}>${t(recording ? "presenter.stop" : "presenter.record")}</button>
      <button type="button" class="button" disabled=${!ready} onClick=${() => run("recalibrate")}>${t("presenter.calibrate")}</button>
      <button type="button" class="button" onClick=${leave}>${t("presenter.leave")}</button>
      <p class="figures">${figures.fps ? t("presenter.figures", {fps: figures.fps, latency: figures.latency}) : ""}</p>
      <p class="keys">${t("presenter.keys")}</p>
    </div>
  </dialog>`;
}

/** The polite message for the visitor; nothing while all is well. */
function liveState({problem, lost, opened, figures, camera}) {
  if (problem || camera.problem) return "";
  if (lost) return t("offline");
  if (!opened || !figures.fps) return t("presenter.opening");
  if (!figures.seen) return t("presenter.no_face");
  return figures.calibrated ? "" : t("presenter.calibrating");
}

/** Whether nothing was moved or pressed for a while, and a function that is called when something is. */
function useQuiet() {
  const [quiet, setQuiet] = useState(false);
  const timer = useRef(0);
  const stir = () => {
    setQuiet(false);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setQuiet(true), QUIET_MS);
  };
  useEffect(() => {
    stir();
    return () => clearTimeout(timer.current);
  }, []);
  return [quiet, stir];
}

/**
 * Sends the camera's pictures to the server and draws its answers, while `running`.
 *
 * Returns the figures of the newest frame, with frames a second and the latency in ms (median of the last second), and
 * whether the server does not answer. Without a camera the scene plays by itself.
 */
function useLiveFrames({video, ready, problem, canvas, face, live, running, onProblem}) {
  const [figures, setFigures] = useState({});
  const [lost, setLost] = useState(false);
  const wanted = useRef(face);
  wanted.current = face;
  useEffect(() => {
    if (!running || !(ready || problem)) return;
    return startLive({
      source: ready ? video.current : null,
      canvas: canvas.current,
      ask: picture => live({...picture, face: wanted.current}),
      onFigures: setFigures,
      onLost: setLost,
      onProblem,
    });
  }, [running, ready, problem]);
  return {figures, lost};
}

/** Begin to send pictures, one after another; returns a function that ends it. */
function startLive({source, canvas, ask, onFigures, onLost, onProblem}) {
  const began = performance.now();
  const shown = [];
  let latest = {};
  let fresh = null;
  let pending = 0;
  let allowed = 1;
  let sent = 0;
  let newest = 0;
  let ended = false;

  const send = async () => {
    const captured = fresh;
    const at = (performance.now() - began) / 1000;
    const number = (sent += 1);
    fresh = null;
    pending += 1;
    const answer = await timed(() => ask({frame: source && pictureOf(source), at_s: at}));
    onLost(!answer);
    if (!answer) await new Promise(resolve => setTimeout(resolve, RETRY_MS));
    pending -= 1;
    if (ended) return;
    if (answer?.unknown) return location.reload();
    if (answer?.error) return onProblem(answer.error);
    // A second picture is on its way only where the network takes longer than the server, or it would wait there.
    if (answer) allowed = answer.took_ms - answer.server_ms > answer.server_ms ? 2 : 1;
    pump();
    if (!answer || number < newest) return;
    newest = number;
    latest = answer;
    await draw(canvas, answer.frame);
    const now = await nextPaint();
    shown.push({now, latency: now - captured});
    performance.measure(FRAME_MEASURE, {start: captured, end: now, detail: {at_s: at, server_ms: answer.server_ms, took_ms: answer.took_ms}});
    performance.clearMeasures(FRAME_MEASURE);
  };
  const pump = () => {
    if (!ended && fresh != null && pending < allowed) send();
  };
  const stopCamera = onPicture(source, captured => {
    fresh = captured;
    pump();
  });
  const timer = setInterval(() => {
    const second = performance.now() - 1000;
    while (shown.length && shown[0].now < second) shown.shift();
    const latencies = shown.map(each => each.latency).sort((a, b) => a - b);
    if (!latencies.length) return;
    const {seen, calibrated, recorded_s} = latest;
    onFigures({seen, calibrated, recorded_s, fps: latencies.length, latency: Math.round(latencies[latencies.length >> 1])});
  }, 250);
  return () => {
    ended = true;
    clearInterval(timer);
    stopCamera();
    onFigures({});
  };
}

/** The server's answer, with the time that it took; null where there is none. */
async function timed(ask) {
  const start = performance.now();
  try {
    const answer = await ask();
    return {...answer, took_ms: performance.now() - start};
  } catch (problem) {
    console.warn(problem);
    return null;
  }
}

/** Call back with the time of each picture of the camera, or 15 times a second without one; returns what ends it. */
function onPicture(source, callback) {
  if (!source?.requestVideoFrameCallback) {
    const timer = setInterval(() => callback(performance.now()), 1000 / 15);
    return () => clearInterval(timer);
  }
  let request = 0;
  const next = (now, metadata) => {
    request = source.requestVideoFrameCallback(next);
    callback(metadata.captureTime ?? now);
  };
  request = source.requestVideoFrameCallback(next);
  return () => source.cancelVideoFrameCallback(request);
}

const cameraCanvas = document.createElement("canvas");

/** The camera's picture as base64 of a JPEG, null before the first one. */
function pictureOf(source) {
  if (!source.videoWidth) return null;
  const scale = Math.min(1, CAMERA_WIDTH / source.videoWidth);
  cameraCanvas.width = Math.round(source.videoWidth * scale);
  cameraCanvas.height = Math.round(source.videoHeight * scale);
  cameraCanvas.getContext("2d").drawImage(source, 0, 0, cameraCanvas.width, cameraCanvas.height);
  return cameraCanvas.toDataURL("image/jpeg", CAMERA_QUALITY).split(",")[1];
}

/** Draw a JPEG, given as base64. */
async function draw(canvas, frame) {
  const bytes = Uint8Array.from(atob(frame), character => character.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], {type: "image/jpeg"}));
  if (canvas.width !== picture.width || canvas.height !== picture.height) {
    canvas.width = picture.width;
    canvas.height = picture.height;
  }
  canvas.getContext("2d").drawImage(picture, 0, 0);
  picture.close();
}

/** The time of the next repaint. */
const nextPaint = () => new Promise(resolve => requestAnimationFrame(() => resolve(performance.now())));
