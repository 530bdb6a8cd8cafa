// Fields of forms, made from the description of an option: native inputs with names, so that arrow keys work.

/** A group of radio buttons; `choices` are {value, label, title?}. */
function Choice({name, label, hint, value, choices, onInput, hideLabel}) {
  return html`<fieldset class="field choice">
    <legend class=${hideLabel ? "sr" : ""}>${label}</legend>
    ${hint && html`<p class="hint">${hint}</p>`}
    <div class="segments">
      ${choices.map(choice => html`<label key=${choice.value} class="segment" title=${choice.title}>
        <input type="radio" name=${name} value=${choice.value} checked=${value === choice.value}
               onChange=${() => onInput(choice.value)} />
        <span>${choice.label}</span>
      </label>`)}
    </div>
  </fieldset>`;
}

/** A checkbox with its label. */
function Switch({label, value, onInput}) {
  return html`<label class="field switch">
    <input type="checkbox" checked=${value} onChange=${event => onInput(event.target.checked)} />
    <span>${label}</span>
  </label>`;
}

/** A slider with its number; `range` is [least, largest, step]. */
function Slider({id, label, hint, value, range, unit, onInput}) {
  const [shown, setShown] = useState(value);
  useEffect(() => setShown(value), [value]);
  const send = usePause(onInput, 250);
  const change = event => {
    const number = Number(event.target.value);
    setShown(number);
    send(number);
  };
  return html`<div class="field slider">
    <label for=${id}>${label}<output for=${id}>${shown}${unit || ""}</output></label>
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    <input type="range" id=${id} min=${range[0]} max=${range[1]} step=${range[2]} value=${shown}
           aria-describedby=${hint ? `${id}-hint` : undefined} onInput=${change} />
  </div>`;
}

/** A number or a text, sent when the visitor leaves it; until then an answer of the server leaves what is typed. */
function Entry({id, label, hint, value, kind, onInput, maxLength, rows}) {
  const number = kind === "number";
  const [typed, setTyped] = useState(null);
  const leave = event => {
    const text = event.target.value;
    onInput(number ? (text === "" ? null : Number(text)) : text);
  };
  const given = {
    id,
    value: typed ?? value ?? "",
    onInput: event => setTyped(event.target.value),
    onChange: leave,
    onBlur: () => setTyped(null),
    maxlength: maxLength,
    "aria-describedby": hint ? `${id}-hint` : undefined,
  };
  return html`<div class="field entry">
    <label for=${id}>${label}</label>
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${rows ? html`<textarea ...${given} rows=${rows}></textarea>` : html`<input type=${number ? "number" : "text"} step="any" ...${given} />`}
  </div>`;
}

/** The field of an option of the schema. */
function OptionField({option, value, onInput, prefix = "option"}) {
  const shown = value ?? option.default;
  const id = `${prefix}-${option.name.replaceAll("_", "-")}`;
  const label = optionText(option, "label");
  const hint = optionText(option, "doc");
  if (option.kind === "switch") return html`<${Switch} label=${hint} value=${shown} onInput=${onInput} />`;
  if (option.kind === "choice") {
    const choices = option.choices.map(choice => ({value: choice.value, label: choiceText(option, choice)}));
    return html`<${Choice} name=${id} label=${label} hint=${hint} value=${shown} choices=${choices} onInput=${onInput} />`;
  }
  if (option.kind === "slider") {
    return html`<${Slider} id=${id} label=${label} hint=${hint} value=${shown} range=${option.range}
                           unit=${option.percent ? " %" : ""} onInput=${onInput} />`;
  }
  return html`<${Entry} id=${id} label=${label} hint=${hint} value=${shown} kind=${option.kind}
                        maxLength=${option.max_length} rows=${option.kind === "text" ? 2 : 0} onInput=${onInput} />`;
}

/** The text of an option in the visitor's language; the schema's own English one where there is no other. */
function optionText(option, part) {
  const key = `option.${option.name}.${part}`;
  const text = t(key);
  return text === key ? option[part] : text;
}

function choiceText(option, choice) {
  const key = `option.${option.name}.${choice.value}`;
  const text = t(key);
  return text === key ? choice.label : text;
}
