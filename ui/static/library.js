// The library: the jobs in the queue and the finished videos.

function ResultView({result, photo, onBack}) {
  return html`<div class="result-view" id="result" tabindex="-1" role="group" aria-label=${t("result.alt", {seconds: result.duration_s})}>
    <video src=${result.video} poster=${result.poster} autoplay loop controls playsinline></video>
    <div class="row"><a class="button" download href=${result.video}>${t("download.mp4")}</a>
    <button type="button" class="button" onClick=${onBack}>${t("result.back")}</button></div>
    <${MessageList} messages=${result.messages} />
  </div>`;
}

function Library({onResult}) {
  const {view} = useStudio();
  const results = view.results || [];
  if (!results.length) return null;
  return html`<section class="library" tabindex="-1" aria-label=${t("library.label")}>
    <h2>${t("library.label")}</h2>
    <div class="gallery">${results.map(result => html`<button type="button" class="result" key=${result.id} onClick=${() => onResult(result.id)}>
      <img src=${result.poster} alt=${t("result.alt", {seconds: result.duration_s})} loading="lazy" /></button>`)}</div>
  </section>`;
}
