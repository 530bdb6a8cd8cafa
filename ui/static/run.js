// The run bar: engine, options, Animate, and the progress of the running job.

function RunPanel({onResult}) {
  const {view, act, schema, error, busy} = useStudio();
  if (!view.photo) return null;
  const value = name => view.options[name];
  const set = changes => act("set_options", {changes}, copy => Object.assign(copy.options, changes));
  const engine = value("engine") || "preview";
  const job = (view.jobs || []).find(each => ACTIVE_JOBS.includes(each.state));
  const ready = view.photo.faces.length > 0 && !busy.set_photo;
  const asked = useRef(false);
  const start = async () => {
    // The button stays enabled meanwhile, as a disabled one loses the focus.
    if (asked.current) return;
    asked.current = true;
    if ((await act("animate")).error) asked.current = false;
  };
  useEffect(() => {
    if (asked.current && !busy.animate && !error) document.getElementById("job")?.focus();
    asked.current = asked.current && Boolean(busy.animate);
  }, [job?.id, busy.animate]);
  return html`<section class="run" tabindex="-1" aria-label=${t("run.label")}>
    ${schema.wan && html`<${Choice} name="engine" label=${t("engine")} value=${engine} choices=${["preview", "wan"].map(name => ({value: name, label: t(`engine.${name}`)}))} onInput=${name => set({engine: name})} />`}
    ${schema.wan && engine === "wan" && html`<${Presets} value=${value} set=${set} />`}
    <div class="row run-bar">
      <button type="button" id="animate" class="button primary large" disabled=${!ready} aria-busy=${Boolean(busy.animate)} onClick=${start}>${t("animate")}</button>
      <${Estimate} estimate=${view.estimate} />
    </div>
    ${error && ["animate", "set_options", "cancel"].includes(error.action) && html`<${ErrorLine} text=${error.text} />`}
    ${job ? html`<${JobProgress} job=${job} />` : html`<${LastFailure} />`}
    <${Options} value=${value} set=${set} engine=${engine} />
  </section>`;
}

/** The time that a run takes, and the memory of the GPU; all of the estimate as a tooltip. Or why it cannot run. */
function Estimate({estimate}) {
  if (!estimate?.text) return null;
  if (estimate.fits === false || estimate.seconds == null) return html`<p class="estimate bad"><span class="hint">${sentence(estimate.text)}</span></p>`;
  const {seconds, peak_gib: peak} = estimate;
  const time = seconds < 90 ? t("estimate.seconds", {count: Math.max(1, Math.round(seconds))}) : t("estimate.minutes", {count: Math.round(seconds / 60)});
  return html`<p class="estimate" title=${sentence(estimate.text)}>${peak == null ? time : t("estimate.peak", {time, peak: peak.toFixed(1)})}</p>`;
}

function Presets({value, set}) {
  const {schema} = useStudio();
  const names = schema.presets.map(preset => preset.name);
  const same = preset => Object.entries(preset.values).every(([name, number]) => (value(name) ?? defaultOf(schema.sampling, name)) === number);
  const chosen = schema.presets.find(same)?.name || schema.custom_preset;
  const choices = [...names, ...(chosen === schema.custom_preset ? [chosen] : [])].map(name => ({value: name, label: t(`preset.${name}`)}));
  const tradeoff = schema.presets.find(preset => preset.name === chosen)?.tradeoff;
  return html`<${Choice} name="preset" label=${t("preset")} hint=${tradeoff && textOr(`preset.${chosen}.tradeoff`, tradeoff)} value=${chosen} choices=${choices}
    onInput=${name => set(schema.presets.find(preset => preset.name === name)?.values || {})} />`;
}

const textOr = (key, text) => (t(key) === key ? text : t(key));
const defaultOf = (options, name) => options.find(option => option.name === name)?.default;

/** All options by group; those of Wan while it is chosen. */
function Options({value, set, engine}) {
  const {view, schema} = useStudio();
  const faces = view.photo.faces;
  const sounds = [["auto"], ["none"], ["mix"], ...faces.map(face => [`face:${face.id}`, face.id])].map(([name, number]) => ({value: name, label: number ? t("sound.face", {number}) : t(`sound.${name}`)}));
  const length = value("length") || "longest";
  const lengths = ["longest", "shortest", "seconds"].map(name => ({value: name, label: t(`length.${name}`)}));
  const shown = [...schema.options, ...(engine === "wan" ? schema.sampling : [])];
  const groups = [...new Set(shown.map(option => option.group))];
  return html`<details class="options" id="options">
    <summary>${t("options")}</summary>
    <${Choice} name="length" label=${t("length")} value=${length} choices=${lengths} onInput=${name => set({length: name})} />
    ${length === "seconds" && html`<${Entry} id="seconds" label=${t("seconds")} kind="number" value=${value("seconds") ?? 4} onInput=${seconds => set({seconds})} />`}
    <${Choice} name="sound" label=${t("sound")} value=${value("sound") || "auto"} choices=${sounds} onInput=${sound => set({sound})} />
    ${groups.map(group => html`<fieldset class="group" key=${group}><legend>${t(`group.${group}`)}</legend>
      ${shown.filter(option => option.group === group).map(option => html`<${OptionField} key=${option.name} option=${option} value=${value(option.name)} onInput=${given => set({[option.name]: given})} />`)}
    </fieldset>`)}
  </details>`;
}

/** One bar for the whole job. */
function JobProgress({job}) {
  const {act} = useStudio();
  const text = job.state === "pending" ? (job.place ? t("job.place", {place: job.place}) : t("job.next")) : jobText(job);
  return html`<div class="job-progress" id="job" tabindex="-1" role="group" aria-label=${text}>
    <${Bar} text=${text} done=${job.done} total=${job.total} />
    ${job.preview_url && html`<img class="preview" src=${job.preview_url} alt=${t("job.preview")} />`}
    <${MessageList} messages=${job.messages} />
    <button type="button" class="button stop" disabled=${job.stopping} onClick=${() => act("cancel", {job: job.id})}>${t(job.stopping ? "job.stopping" : "stop")}</button>
  </div>`;
}

/** Why the latest job failed; gone as soon as a later one is done. */
function LastFailure() {
  const {view} = useStudio();
  const failed = (view.jobs || []).find(each => each.state === "failed");
  const done = view.results?.[0]?.created_s || 0;
  return failed && failed.ended_s > done ? html`<${ErrorLine} text=${failed.error} />` : null;
}

function jobText(job) {
  const stage = t(`stage.${job.stage || "portrait"}`);
  if (!job.total) return stage;
  const far = job.stage === "sample" ? t("job.step", {done: job.done, total: job.total}) : `${Math.floor((100 * job.done) / job.total)} %`;
  return job.remaining_s == null ? `${stage}: ${far}` : `${stage}: ${far}, ${timeLeft(job.remaining_s)}`;
}

function timeLeft(seconds) {
  if (seconds < 1) return t("time.moment");
  return seconds < 90 ? t("time.seconds", {count: Math.round(seconds)}) : t("time.minutes", {count: Math.round(seconds / 60)});
}
