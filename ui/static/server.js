// The connection to the server: actions are sent one after another, and the view is asked for while something runs.

const {html, render, createContext, useContext, useEffect, useMemo, useRef, useState} = htmPreact;
const POLL_ACTIVE_MS = 400;
const POLL_IDLE_MS = 5000;
const POLL_HIDDEN_MS = 60000;
const RETRY_MS = 2000;

const Studio = createContext(null);
/** The studio of the page: view, schema, act, error and so on. */
const useStudio = () => useContext(Studio);

const ACTIVE_JOBS = ["pending", "running"];
const isActive = view =>
  view.photo?.loop?.state === "running" ||
  view.motions?.making ||
  view.clips.some(clip => ["waiting", "checking"].includes(clip.state)) ||
  (view.jobs || []).some(job => ACTIVE_JOBS.includes(job.state)) ||
  (view.results || []).some(result => Object.values(result.downloads).some(each => ["waiting", "running"].includes(each.state)));

/** State of the page and its connection; `first` is the value that the server sent with the page. */
function useConnection(first) {
  const [view, setView] = useState(first.view);
  const [error, setError] = useState("");
  const [busy, setBusy] = useState({});
  const [offline, setOffline] = useState(false);
  const latest = useRef(first.view);
  const line = useRef(Promise.resolve());
  const waiting = useRef(0);
  const uploading = useRef(0);
  // How many actions there were: the answer to a question that is older than an action is dropped.
  const acted = useRef(0);

  /** Whether there are choices that the server does not have yet, or files on their way to it. */
  const isSaving = () => waiting.current + uploading.current > 0;
  const count = (kind, more) => {
    kind.current += more;
    root.toggleAttribute("data-saving", isSaving());
  };
  const wait = more => count(waiting, more);

  const show = next => {
    latest.current = next;
    setView(next);
  };

  /** Call a function of the server; when it does not answer, try again until it does. */
  const call = async (name, data) => {
    for (;;) {
      try {
        const answer = await server[name]({token: first.token, still: prefersStill(), ...data});
        setOffline(false);
        if (!answer.unknown) return answer;
        // The session has expired, or was deleted: nothing can be saved to it, and the page begins with a new one.
        waiting.current = uploading.current = 0;
        location.reload();
        return new Promise(() => {});
      } catch (problem) {
        console.warn(problem);
        setOffline(true);
        await new Promise(resolve => setTimeout(resolve, RETRY_MS));
      }
    }
  };

  /** Carry out an action; `guess` changes a copy of the view at once, until the server's answer replaces it. */
  const act = (action, args = {}, guess = null) => {
    if (guess) {
      const copy = structuredClone(latest.current);
      guess(copy);
      show(copy);
    }
    wait(1);
    acted.current += 1;
    setBusy(now => ({...now, [action]: (now[action] || 0) + 1}));
    const done = line.current.then(async () => {
      const answer = await call("act", {action, arguments: args});
      wait(-1);
      setBusy(now => ({...now, [action]: now[action] - 1}));
      setError(answer.error ? {text: answer.error, action, face: args.face} : "");
      // Later actions are on their way: their answers hold this one's change too.
      if (waiting.current === 0 || answer.error) show(answer);
      return answer;
    });
    line.current = done.catch(problem => console.error(problem));
    return done;
  };

  /** Carry out an action that the visitor did not ask for: neither is it busy, nor is a refusal shown. */
  const actQuietly = (action, args) => {
    const done = line.current.then(async () => {
      const answer = await call("act", {action, arguments: args});
      if (waiting.current === 0) show(answer);
    });
    line.current = done.catch(problem => console.error(problem));
  };

  /** How well the camera sees a face; rejects where the server does not answer. */
  const look = picture => server.look({token: first.token, picture});

  /** The next frame of the live scene; rejects where the server does not answer. */
  const live = frame => server.live({token: first.token, ...frame});

  useEffect(() => {
    let timer = 0;
    let ended = false;
    const poll = async () => {
      if (waiting.current === 0) {
        const asked = acted.current;
        const answer = await call("view", {version: latest.current.version});
        if (waiting.current === 0 && acted.current === asked && answer.photo !== undefined) show(answer);
      }
      // A hidden page asks seldom, but it asks: the server stops previews whose page is gone.
      const pause = document.hidden ? POLL_HIDDEN_MS : isActive(latest.current) ? POLL_ACTIVE_MS : POLL_IDLE_MS;
      if (!ended) timer = setTimeout(poll, pause);
    };
    timer = setTimeout(poll, POLL_ACTIVE_MS);
    const wake = () => {
      clearTimeout(timer);
      poll();
    };
    document.addEventListener("visibilitychange", wake);
    return () => {
      ended = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", wake);
    };
  }, [isActive(view)]);

  useEffect(() => {
    // What the server does not have yet would be lost with the page: the browser asks before it closes.
    const ask = event => { if (isSaving()) event.preventDefault(); };
    window.addEventListener("beforeunload", ask);
    return () => window.removeEventListener("beforeunload", ask);
  }, []);

  /** Upload a file, then carry out an action on it. */
  const send = async (file, action, args = {}) => {
    count(uploading, 1);
    setBusy(now => ({...now, [action]: (now[action] || 0) + 1}));
    try {
      const limit = first.schema.max_upload_bytes;
      if (limit && file.size > limit) {
        setError({text: t("error.too_large", {name: file.name, limit: Math.round(limit / 2 ** 20)}), action, face: args.face});
        return null;
      }
      const {path} = await upload(file);
      return await act(action, {path, name: file.name || "file", ...args});
    } catch (problem) {
      console.warn(problem);
      setError({text: t("error.upload", {name: file.name || ""}), action, face: args.face});
      return null;
    } finally {
      count(uploading, -1);
      setBusy(now => ({...now, [action]: now[action] - 1}));
    }
  };

  return {view, error, setError, busy, offline, wait, act, actQuietly, look, live, send, schema: first.schema};
}

/** A function that calls `send` once it was not called for `ms`; meanwhile the page has a choice that waits. */
function usePause(send, ms) {
  const {wait} = useStudio();
  const timer = useRef(0);
  return value => {
    if (!timer.current) wait(1);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      timer.current = 0;
      wait(-1);
      send(value);
    }, ms);
  };
}
