// The library: the jobs in the queue, and the finished videos.

const LIBRARY_ACTIONS = ["retry", "duplicate", "move", "delete", "delete_all", "cancel", "use_settings", "other_engine"];

function Library({shown, onResult}) {
  const {view, error} = useStudio();
  const results = view.results || [];
  const jobs = view.jobs || [];
  return html`<section class="library" aria-label=${t("library.label")}>
    ${error && !shown && LIBRARY_ACTIONS.includes(error.action) && html`<${ErrorLine} text=${error.text} />`}
    ${(jobs.length > 1 || jobs.some(job => job.state !== "running")) && html`<${Queue} jobs=${jobs} />`}
    ${results.length > 0 && html`<${Gallery} results=${results} shown=${shown} onResult=${onResult} />`}
    <${RestoreZone} />
  </section>`;
}

/** The jobs that run, wait, or have failed. */
function Queue({jobs}) {
  const pending = jobs.filter(job => job.state === "pending");
  return html`<div class="queue" id="queue">
    <h2>${t("queue.label")}</h2>
    <ol class="jobs">${jobs.map(job => html`<${JobRow} key=${job.id} job=${job} pending=${pending} />`)}</ol>
  </div>`;
}

function JobRow({job, pending}) {
  const {act} = useStudio();
  const at = pending.findIndex(each => each.id === job.id);
  const ended = !ACTIVE_JOBS.includes(job.state);
  const move = before => act("move", {job: job.id, before});
  const name = playsText(job);
  const button = (key, action, disabled = false) => html`<button type="button" class="button small" disabled=${disabled} aria-label=${`${t(key)}: ${name}`} onClick=${action}>${t(key)}</button>`;
  const arrow = (mark, key, action, disabled) => html`<button type="button" class="button small arrow" disabled=${disabled} aria-label=${`${t(key)}: ${name}`} title=${t(key)} onClick=${action}>${mark}</button>`;
  return html`<li class=${`job ${job.state}`}>
    <img class="job-thumb" src=${job.preview_url || job.photo.thumb || undefined} alt="" />
    <div class="job-text">
      <p class="job-name">${name}</p>
      <p class="hint">${t(`fact.engine.${job.engine}`)} · ${stateText(job)}</p>
      ${job.state === "running" && html`<progress max="100" value=${job.total ? (100 * job.done) / job.total : undefined} aria-label=${t("job.progress")}></progress>`}
      ${job.error && html`<${ErrorLine} text=${job.error} />`}
    </div>
    <div class="row job-buttons">
      ${pending.length > 1 && at >= 0 && html`${arrow("↑", "queue.up", () => move(pending[at - 1].id), at === 0)}
        ${arrow("↓", "queue.down", () => move(pending[at + 2]?.id ?? null), at === pending.length - 1)}`}
      ${ended ? button("queue.retry", () => act("retry", {job: job.id})) : button("queue.cancel", () => act("cancel", {job: job.id}), job.stopping)}
      ${button("queue.duplicate", () => act("duplicate", {job: job.id}))}
      ${ended && button("queue.settings", () => act("use_settings", {job: job.id}))}
      ${ended && button("delete", () => act("delete", {job: job.id}))}
    </div>
  </li>`;
}

/** The state of a job in words. */
function stateText(job) {
  if (job.state === "pending") return job.place ? t("job.place", {place: job.place}) : t("job.next");
  if (job.stopping) return t("job.stopping");
  return job.state === "running" ? jobText(job) : t(`job.${job.state}`);
}

function Gallery({results, shown, onResult}) {
  const {view, act} = useStudio();
  const [asking, setAsking] = useState(false);
  const hours = Math.round(view.expires_s / 3600);
  return html`<div class="videos" id="videos">
    <div class="row library-head">
      <h2>${t("library.label")}</h2>
      <p class="hint">${t("library.expiry", {hours})}</p>
      ${asking
        ? html`<span class="row confirm" role="alertdialog" aria-label=${t("library.delete_all")}><span>${t("library.delete_sure", {count: results.length})}</span>
            <button type="button" class="button small stop" id="delete-all-sure" onClick=${() => { setAsking(false); act("delete_all"); }}>${t("library.delete_yes")}</button>
            <button type="button" class="button small" onClick=${() => setAsking(false)}>${t("cancel")}</button></span>`
        : html`<button type="button" class="button small quiet" id="delete-all" onClick=${() => setAsking(true)}>${t("library.delete_all")}</button>`}
    </div>
    <ul class="gallery">${results.map(result => html`<${ResultCard} key=${result.id} result=${result} current=${result.id === shown} onResult=${onResult} />`)}</ul>
  </div>`;
}

function ResultCard({result, current, onResult}) {
  const {act, schema} = useStudio();
  const other = result.engine === "wan" ? "preview" : "wan";
  const plays = playsText(result);
  const open = () => {
    onResult(result.id);
    showStage();
  };
  const use = job => act("use_settings", {job}).then(() => {
    onResult(null);
    showStage();
  });
  const item = (key, action) => html`<button type="button" class="button small" aria-label=${`${t(key)}: ${plays}`} onClick=${action}>${t(key)}</button>`;
  return html`<li class=${`result-card ${current ? "current" : ""}`}>
    <button type="button" class="result" aria-pressed=${current} aria-label=${t("library.play", {plays, seconds: shortSeconds(result.duration_s)})} onClick=${open}>
      <img src=${result.poster || result.photo.thumb || undefined} alt="" loading="lazy" />
      <span class="length">${shortSeconds(result.duration_s)} s</span><span class="play" aria-hidden="true">▶</span>
    </button>
    <div class="card-text">
      <p class="card-name" title=${plays}>${plays}</p>
      <p class="hint">${t(`fact.engine.${result.engine}`)} · ${t("library.until", {time: clockTime(result.expires_s)})}</p>
      <div class="row">
        ${isRepeatable(result) && item("result.again", () => act("duplicate", {job: result.id}))}
        ${item("result.use", () => use(result.id))}
        ${schema.wan && isRepeatable(result) && item(`result.other.${other}`, () => act("other_engine", {job: result.id}))}
        ${item("delete", () => act("delete", {job: result.id}))}
      </div>
    </div>
  </li>`;
}

/** A saved request, or a video that carries one, brings its scene back. */
function RestoreZone() {
  const {send, busy} = useStudio();
  const input = useRef(null);
  const choose = event => {
    const file = event.target.files[0];
    event.target.value = "";
    if (file) send(file, "restore").then(showStage);
  };
  const drop = event => {
    event.preventDefault();
    event.stopPropagation();
    if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0], "restore").then(showStage);
  };
  return html`<div class="row restore" onDragOver=${event => event.preventDefault()} onDrop=${drop}>
    <input type="file" class="sr" tabindex="-1" id="restore-file" ref=${input} accept=".json,video/mp4,video/webm,image/png" onChange=${choose} aria-label=${t("restore.choose")} />
    <button type="button" class="button small" disabled=${Boolean(busy.restore)} onClick=${() => input.current.click()}>${t("restore.choose")}</button>
    <span class="hint">${t("restore.how")}</span>
  </div>`;
}
