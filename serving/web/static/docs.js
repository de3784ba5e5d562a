// Shows openapi.json for people.

import { start as startTheme } from "./theme.js";

function node(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function typeOf(schema) {
  const types = schema.oneOf ? schema.oneOf.map(typeOf).join(" or ") : schema.type ?? "";
  return schema.type === "array" ? `list of ${typeOf(schema.items)}` : types;
}

function fieldsOf(body) {
  const list = node("dl");
  const { properties, required = [] } = body.content["application/json"].schema;
  for (const [name, schema] of Object.entries(properties)) {
    const needed = required.includes(name) ? "" : ", may be left out";
    list.append(node("dt", "", node("code", name)), node("dd", `${schema.description} (${typeOf(schema)}${needed})`));
  }
  return list;
}

function example(path, verb, operation) {
  const { example: fields } = operation.requestBody?.content["application/json"] ?? {};
  const sent = fields ? ` \\\n    -H 'Content-Type: application/json' \\\n    -d '${JSON.stringify(fields)}'` : "";
  return node("pre", `curl ${verb === "get" || fields ? "" : "-X POST "}${location.origin}${path}${sent}`);
}

async function show() {
  const described = await (await fetch("/openapi.json")).json();
  const main = document.getElementById("paths");
  main.append(node("p", described.info.description));
  for (const [path, verbs] of Object.entries(described.paths)) {
    for (const [verb, operation] of Object.entries(verbs)) {
      const section = node("section");
      section.className = "panel";
      section.append(node("h2", "", node("code", `${verb.toUpperCase()} ${path}`)), node("p", operation.description));
      if (operation.requestBody) section.append(fieldsOf(operation.requestBody));
      section.append(example(path, verb, operation));
      const answers = node("dl");
      for (const [status, answer] of Object.entries(operation.responses)) {
        const { description } = answer.$ref ? described.components.responses[answer.$ref.split("/").pop()] : answer;
        answers.append(node("dt", status), node("dd", description));
        const shown = answer.content?.["application/json"].example;
        if (shown) answers.lastChild.append(node("pre", JSON.stringify(shown, null, 2)));
      }
      section.append(answers);
      for (const shown of section.querySelectorAll("pre")) shown.tabIndex = 0; // it may scroll
      main.append(section);
    }
  }
}

startTheme(null);
show();
