// The gallery of built-in motions: small loops on the visitor's own face, made when they come into view.

const ASK_MS = 200;
const prefersStill = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const hovers = () => matchMedia("(hover: hover)").matches;

/** One radio group: a row that scrolls, or with "more" all rows. The motion that is chosen plays; all do under the pointer or focus. */
function MotionPanel({face, card, set}) {
  const {view, schema} = useStudio();
  const [all, setAll] = useState(false);
  const [lively, setLively] = useState(!hovers());
  const row = useRef(null);
  const visible = useVisible(row);
  const loops = view.motions?.loops?.[face.id] || {};
  useLoops(face.id, visible, loops);
  useEffect(() => {
    // The chosen one is in sight, without moving the page.
    const tile = row.current.querySelector("input:checked")?.closest(".motion-tile");
    if (tile && !all) row.current.scrollLeft = tile.offsetLeft - (row.current.clientWidth - tile.offsetWidth) / 2;
  }, [all, card.motion]);
  return html`<div class="motion-panel" onPointerEnter=${() => setLively(true)} onPointerLeave=${() => setLively(!hovers())}
      onFocusIn=${() => setLively(true)} onFocusOut=${() => setLively(!hovers())}>
    <fieldset class="field">
      <legend class="sr">${t("card.motion")}</legend>
      <div class=${`motion-row ${all ? "all" : ""}`} ref=${row}>
        ${schema.motions.map(motion => html`<${MotionTile} key=${motion.name} face=${face} motion=${motion} chosen=${card.motion === motion.name}
          loop=${loops[motion.name]} plays=${visible.includes(motion.name) && (lively || card.motion === motion.name)} onChoose=${() => set({motion: motion.name})} />`)}
      </div>
    </fieldset>
    <button type="button" class="button small quiet more" aria-expanded=${all} onClick=${() => setAll(!all)}>
      ${all ? t("motions.fewer") : t("motions.more", {count: schema.motions.length})}</button>
  </div>`;
}

/** A motion: its name below its loop, its poster, or the face as it is while there is neither or they are being loaded. */
function MotionTile({face, motion, chosen, loop, plays, onChoose}) {
  const picture = !loop
    ? html`<img class="plain" src=${face.thumb} alt="" loading="lazy" />`
    : plays && !prefersStill()
      ? html`<video src=${`${loop}.mp4`} poster=${`${loop}.webp`} autoplay loop muted playsinline aria-hidden="true"></video>`
      : html`<img src=${`${loop}.webp`} alt="" />`;
  return html`<label class="motion-tile" data-motion=${motion.name} title=${textOr(`motion.${motion.name}.about`, motion.about)}>
    <input type="radio" name=${`motion-${face.id}`} value=${motion.name} checked=${chosen} onChange=${onChoose} />
    <span class="motion-picture" style=${loop ? {backgroundImage: `url("${face.thumb}")`} : {}}>${picture}</span>
    <span class="motion-name">${motionName(motion.name)}</span>
  </label>`;
}

/** The names of the tiles in a row that are on the screen. */
function useVisible(row) {
  const [names, setNames] = useState([]);
  useEffect(() => {
    const seen = new Set();
    const observer = new IntersectionObserver(entries => {
      for (const {target, isIntersecting} of entries) seen[isIntersecting ? "add" : "delete"](target.dataset.motion);
      setNames([...seen]);
    });
    row.current.querySelectorAll(".motion-tile").forEach(tile => observer.observe(tile));
    return () => observer.disconnect();
  }, []);
  return names;
}

/** Ask for the loops of visible motions; those that are out of sight before their turn are not made. */
function useLoops(face, visible, loops) {
  const {view, actQuietly} = useStudio();
  const asked = useRef({photo: "", names: []});
  const missing = visible.filter(name => !loops[name]).sort();
  const photo = view.photo.id;
  useEffect(() => {
    if (asked.current.photo !== photo) asked.current = {photo, names: []};
    asked.current.names = asked.current.names.filter(name => !loops[name]);
    if (missing.every(name => asked.current.names.includes(name))) return undefined;
    const timer = setTimeout(() => {
      asked.current = {photo, names: missing};
      actQuietly("show_motions", {face, motions: visible.filter(name => !loops[name])});
    }, ASK_MS);
    return () => clearTimeout(timer);
  }, [photo, missing.join()]);
}
