// What the page asks its server.

export class Refused extends Error {
  // status: of HTTP; 0 if there was no answer. wait: seconds until it may be tried again, or null.
  constructor(message, status, wait = null) {
    super(message);
    this.status = status;
    this.wait = wait;
  }

  // Whether the same may be answered later, though nothing changes here.
  get passes() {
    return [0, 429, 502, 503].includes(this.status);
  }
}

const UNREACHABLE = "This page's server cannot be reached just now.";

async function ask(path, fields, signal) {
  const options = fields === undefined ? { signal } : {
    signal,
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(fields),
  };
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Refused(UNREACHABLE, 0);
  }
  if (response.ok) return response;
  let message = "The server failed to answer.";
  try {
    message = (await response.json()).error ?? message;
  } catch { /* A proxy's own page. */ }
  const wait = Number(response.headers.get("Retry-After")) || null;
  throw new Refused(message, response.status, wait);
}

export async function settings() {
  return (await ask("/frontend/settings")).json();
}

export async function models() {
  return (await ask("/frontend/models")).json();
}

export async function details(fields, signal) {
  return (await ask("/frontend/details", fields, signal)).json();
}

// Yields what the server says of a text: its sentences, then each one's translation.
export async function* translate(fields, signal) {
  const response = await ask("/frontend/translate", fields, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      throw error.name === "AbortError" ? error : new Refused(UNREACHABLE, 0);
    }
    const lines = (rest + (part.value ?? "")).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const found = JSON.parse(line);
      if (found.error !== undefined) throw new Refused(found.error, 503);
      yield found;
    }
    if (part.done) return;
  }
}
