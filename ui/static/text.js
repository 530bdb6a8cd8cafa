// The strings of the page. A key names a sentence of STRINGS; {name} in it is replaced by a value.

const LANGUAGES = {en: "English", zh: "中文"};
let STRINGS = {en: {}, zh: {}};
let language = "en";

/** Choose the language: the one the visitor chose before, or the first of the browser's that the page has. */
function chooseLanguage(strings) {
  STRINGS = strings;
  const wanted = [localStorage.getItem("fantasyportrait-language"), ...(navigator.languages || [])];
  language = wanted.map(name => (name || "").slice(0, 2)).find(name => name in STRINGS) || "en";
  document.documentElement.lang = language;
}

function setLanguage(name) {
  language = name;
  localStorage.setItem("fantasyportrait-language", name);
  document.documentElement.lang = name;
}

/** The string of a key in the visitor's language, in English where it is missing. */
function t(key, values = {}) {
  const text = STRINGS[language]?.[key] ?? STRINGS.en?.[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}
