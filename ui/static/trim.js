// The part of a clip that is used: two handles over a strip of its frames.

const SHORTEST_PART_S = 0.2;
const TRIM_STEP_S = 0.1;

/** Two native sliders, start and end, which cannot cross; a change is sent when the visitor pauses. */
function Trim({clip, card, set, face}) {
  const length = Math.ceil(10 * clip.duration_s - 1e-6) / 10;
  const given = [card.start_s, card.end_s ?? length];
  const [part, setPart] = useState(given);
  const send = usePause(([start, end]) => set({start_s: start, end_s: end >= length - 1e-6 ? null : end}), 300);
  useEffect(() => setPart(given), [card.start_s, card.end_s, length]);
  const change = (start, end) => {
    const round = value => Math.round(value * 10) / 10;
    const next = [round(start), round(end)];
    setPart(next);
    send(next);
  };
  const [start, end] = part;
  const handle = (name, value, onInput) => html`<input type="range" class=${`trim-${name}`} min="0" max=${length} step=${TRIM_STEP_S} value=${value}
    aria-label=${t(`trim.${name}`, {number: face.id})} aria-valuetext=${t("trim.seconds", {seconds: value.toFixed(1)})} onInput=${onInput} />`;
  const moveStart = event => {
    const value = Math.max(0, Math.min(Number(event.target.value), end - SHORTEST_PART_S));
    event.target.value = value;
    change(value, end);
  };
  const moveEnd = event => {
    const value = Math.min(length, Math.max(Number(event.target.value), start + SHORTEST_PART_S));
    event.target.value = value;
    change(start, value);
  };
  return html`<div class="trim" role="group" aria-label=${t("trim.label")} style=${`--from:${start / length};--to:${end / length}`}>
    <div class="trim-strip" aria-hidden="true">${clip.strip.map(url => html`<img key=${url} src=${url} alt="" loading="lazy" draggable="false" />`)}</div>
    <div class="trim-window" aria-hidden="true"></div>
    ${handle("start", start, moveStart)}
    ${handle("end", end, moveEnd)}
    <p class="trim-text" aria-hidden="true"><span>${t("trim.seconds", {seconds: start.toFixed(1)})}</span><span>${t("trim.used", {seconds: (end - start).toFixed(1)})}</span><span>${t("trim.seconds", {seconds: end.toFixed(1)})}</span></p>
  </div>`;
}
