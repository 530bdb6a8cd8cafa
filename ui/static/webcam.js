// Records a take with the webcam: self-view, countdown, recording, and a look at it before it is used.

const LONGEST_TAKE_S = 60;
const LOOK_MS = 1000;
const LOOK_SIZE = [160, 120];
const TAKE_KINDS = ["video/webm;codecs=vp8,opus", "video/webm;codecs=vp8", "video/webm", "video/mp4"];

/** `onTake` gets the recording as a file. */
function WebcamDialog({onClose, onTake}) {
  const camera = useCamera({video: {width: {ideal: 640}, height: {ideal: 480}, facingMode: "user"}, audio: true});
  const [step, setStep] = useState("ready");
  const [count, setCount] = useState(3);
  const [take, setTake] = useState(null);
  const recorder = useRecorder(camera.stream, file => {
    setTake({file, url: URL.createObjectURL(file)});
    setStep("review");
  });
  const seen = useLook(camera.video, camera.ready && step === "ready");
  useEffect(() => () => take && URL.revokeObjectURL(take.url), [take]);
  useEffect(() => {
    if (step !== "countdown") return undefined;
    if (count === 0) {
      setStep("recording");
      recorder.start();
      return undefined;
    }
    const timer = setTimeout(() => setCount(count - 1), 1000);
    return () => clearTimeout(timer);
  }, [step, count]);
  const begin = () => {
    setTake(null);
    setCount(3);
    setStep("countdown");
  };
  const use = () => {
    onTake(take.file);
    onClose();
  };
  const problem = camera.problem || recorder.problem;
  return html`<${Dialog} label=${t("webcam.label")} onClose=${onClose}>
    ${problem ? html`<${ErrorLine} text=${problem} />` : html`<div class="webcam">
      <video ref=${camera.video} autoplay playsinline muted class="mirrored" hidden=${step === "review"} aria-label=${t("webcam.self")}></video>
      ${step === "review" && html`<video class="take" src=${take.url} controls playsinline autoplay loop aria-label=${t("webcam.review")}></video>`}
      ${step === "countdown" && count > 0 && html`<p class="countdown" aria-hidden="true">${count}</p>`}
      ${step === "recording" && html`<p class="rec"><span class="dot" aria-hidden="true"></span>${clock(recorder.seconds)} / ${clock(LONGEST_TAKE_S)}</p>`}
    </div>
    <p class="hint webcam-state" role="status">${stepText(step, count, seen, camera.ready)}</p>`}
    <div class="row">
      ${!problem && step === "ready" && html`<button type="button" class="button primary" disabled=${!camera.ready} onClick=${begin}>${t("webcam.start")}</button>`}
      ${step === "recording" && html`<button type="button" class="button stop" onClick=${recorder.stop}>${t("webcam.stop")}</button>`}
      ${step === "review" && html`<button type="button" class="button primary" onClick=${use}>${t("webcam.use")}</button>
        <button type="button" class="button" onClick=${begin}>${t("webcam.retake")}</button>`}
      <button type="button" class="button quiet" onClick=${onClose}>${t("cancel")}</button>
    </div>
  <//>`;
}

function stepText(step, count, seen, ready) {
  if (!ready) return t("webcam.opening");
  if (step === "countdown") return t("webcam.in", {count: Math.max(1, count)});
  if (step === "recording") return t("webcam.recording");
  if (step === "review") return t("webcam.done");
  return seen ? t(`webcam.seen.${seen}`) : t("webcam.looking");
}

const clock = seconds => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** Records a stream; it ends by itself after the longest time of a take. */
function useRecorder(stream, onFile) {
  const recorder = useRef(null);
  const [seconds, setSeconds] = useState(0);
  const [problem, setProblem] = useState("");
  const timer = useRef(0);
  const stop = () => {
    clearInterval(timer.current);
    if (recorder.current?.state === "recording") recorder.current.stop();
  };
  const start = () => {
    const kind = window.MediaRecorder && TAKE_KINDS.find(each => MediaRecorder.isTypeSupported(each));
    if (!kind) return setProblem(t("webcam.unsupported"));
    const parts = [];
    const began = performance.now();
    const made = (recorder.current = new MediaRecorder(stream.current, {mimeType: kind}));
    made.ondataavailable = event => event.data.size && parts.push(event.data);
    made.onstop = () => {
      const plain = kind.split(";")[0];
      if (made === recorder.current) onFile(new File(parts, plain === "video/mp4" ? "take.mp4" : "take.webm", {type: plain}));
    };
    made.start(1000);
    setSeconds(0);
    timer.current = setInterval(() => {
      const now = (performance.now() - began) / 1000;
      setSeconds(now);
      if (now >= LONGEST_TAKE_S) stop();
    }, 200);
    return undefined;
  };
  useEffect(() => () => {
    // The dialog is closed: what was recorded is not used.
    const last = recorder.current;
    recorder.current = null;
    clearInterval(timer.current);
    if (last?.state === "recording") last.stop();
  }, []);
  return {start, stop, seconds, problem};
}

/** Asks the server once a second how well a face is seen; "" before the first answer. */
function useLook(video, active) {
  const {look} = useStudio();
  const [seen, setSeen] = useState("");
  useEffect(() => {
    if (!active) return undefined;
    let ended = false;
    let timer = 0;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = LOOK_SIZE;
    const ask = async () => {
      if (video.current?.videoWidth) {
        try {
          const answer = await look(smallPicture(video.current, canvas));
          if (!ended && answer.seen && answer.seen !== "busy") setSeen(answer.seen);
        } catch (problem) {
          console.warn(problem);
        }
      }
      if (!ended) timer = setTimeout(ask, LOOK_MS);
    };
    ask();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [active]);
  return seen;
}

/** The middle of the video in 4:3 as RGB bytes in base64. */
function smallPicture(video, canvas) {
  const [width, height] = LOOK_SIZE;
  const context = canvas.getContext("2d", {willReadFrequently: true});
  const scale = Math.max(width / video.videoWidth, height / video.videoHeight);
  const [w, h] = [video.videoWidth * scale, video.videoHeight * scale];
  context.drawImage(video, (width - w) / 2, (height - h) / 2, w, h);
  const {data} = context.getImageData(0, 0, width, height);
  let text = "";
  for (let index = 0; index < data.length; index += 4) text += String.fromCharCode(data[index], data[index + 1], data[index + 2]);
  return btoa(text);
}
