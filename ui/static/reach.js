// Focus and announcements: what visitors who use a keyboard or a screen reader need beside native controls.

/** The one live region of the page: the faces of a new photo; start, stages, quarters and end of a job. */
function Announcer() {
  const {view} = useStudio();
  const [text, setText] = useState("");
  const faces = view.photo ? `${view.photo.id} ${view.photo.faces.length}` : "";
  const job = (view.jobs || []).find(each => ACTIVE_JOBS.includes(each.state));
  const spoken = job ? spokenText(job) : "";
  const before = useRef({faces, job: null});
  useEffect(() => {
    if (faces !== before.current.faces && view.photo) setText(facesText(view.photo));
    before.current.faces = faces;
  }, [faces]);
  useEffect(() => {
    const last = before.current.job;
    if (last && last !== job?.id) setText(endText(view, last));
    if (job) setText(spoken);
    before.current.job = job?.id || null;
  }, [job?.id, spoken]);
  return html`<p class="sr" role="status" id="announcement">${text}</p>`;
}

/** The progress of a job in coarse steps, so that it is not read out for each per cent. */
function spokenText(job) {
  if (job.state === "pending") return job.place ? t("job.place", {place: job.place}) : t("job.next");
  const quarter = job.total ? Math.floor((4 * job.done) / job.total) : 0;
  const stage = t(`stage.${job.stage || "portrait"}`);
  return quarter ? `${stage}: ${25 * quarter} %` : stage;
}

/** How a job ended; a failure has a message of its own. */
function endText(view, id) {
  const result = (view.results || []).find(each => each.id === id);
  if (result) return t("announce.done", {seconds: result.duration_s});
  const ended = (view.jobs || []).find(each => each.id === id);
  return ended?.state === "failed" ? "" : t("announce.stopped");
}

const facesText = photo => (photo.faces.length ? t(photo.faces.length === 1 ? "faces.one" : "faces.many", {count: photo.faces.length}) : "");

/**
 * Where the focused element is removed, focus goes to the part of the page that it was in, not to the top.
 * Returns a function that says whether the focus was last in a place.
 */
function keepFocus(root) {
  let chain = [];
  root.addEventListener("focusin", event => {
    chain = [];
    for (let each = event.target; each && each !== root; each = each.parentElement) chain.push(each);
  });
  root.addEventListener("pointerdown", () => (chain = []));
  new MutationObserver(() => {
    if (!chain.length || chain[0].isConnected || document.activeElement !== document.body) return;
    chain.find(each => each.isConnected && each.tabIndex >= -1 && each.hasAttribute("tabindex"))?.focus({preventScroll: true});
  }).observe(root, {childList: true, subtree: true});
  return place => chain.some(each => each.matches(place));
}
