// The visitor's camera: its stream on a video element, or a sentence that says why there is none.

/**
 * The camera's stream; `wanted` are the constraints of getUserMedia. Where there is no microphone, or it is refused, the
 * stream has no sound.
 */
function useCamera(wanted) {
  const video = useRef(null);
  const stream = useRef(null);
  const [problem, setProblem] = useState("");
  const [ready, setReady] = useState(false);
  useEffect(() => {
    let ended = false;
    const stop = () => stream.current?.getTracks().forEach(track => track.stop());
    (async () => {
      if (!window.isSecureContext) return setProblem(t("camera.insecure"));
      if (!navigator.mediaDevices?.getUserMedia) return setProblem(t("camera.missing"));
      try {
        stream.current = await openCamera(wanted);
      } catch (error) {
        const refused = ["NotAllowedError", "SecurityError"].includes(error.name);
        return setProblem(t(refused ? "camera.refused" : error.name === "NotReadableError" ? "camera.in_use" : "camera.missing"));
      }
      if (ended) return stop();
      if (video.current) video.current.srcObject = stream.current;
      setReady(true);
    })();
    return () => {
      ended = true;
      stop();
    };
  }, []);
  return {video, stream, problem, ready};
}

async function openCamera(wanted) {
  try {
    return await navigator.mediaDevices.getUserMedia(wanted);
  } catch (error) {
    if (!wanted.audio || (error.name === "NotAllowedError" && (await isDenied("camera")))) throw error;
    return navigator.mediaDevices.getUserMedia({...wanted, audio: false});
  }
}

/** Whether the visitor has refused; browsers that cannot tell ask once more. */
async function isDenied(name) {
  try {
    return (await navigator.permissions.query({name})).state === "denied";
  } catch {
    return false;
  }
}
