/* News of a study: a stream where there is one, asking every few seconds where there is none, and nothing while the
   page is hidden: browsers allow six connections to a host, and a page that nobody sees needs none. */

const POLL = 3000;
const SILENCE = 30000; // the stream says every ten seconds that it is there
const RETRY_STREAM = 30000;

export class Connection {
  /**
   * onMessage(message, isReset) gets every message once, in order; onState(state) one of live, polling, reconnecting,
   * ended. cursor: how far the page has read already.
   */
  constructor(address, cursor, onMessage, onState) {
    Object.assign(this, { address, cursor, onMessage, onState });
    this.state = "loaded";
    this.heard = Date.now();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
    addEventListener("online", () => this.open());
    setInterval(() => this.notice(), 5000);
    if (!document.hidden) this.open();
  }

  open() {
    if (this.state === "ended") return;
    this.close();
    this.triedStream = Date.now();
    const source = new EventSource(`${this.address}/stream?after=${encodeURIComponent(this.cursor)}`);
    this.source = source;
    for (const kind of ["message", "reset", "end"]) {
      source.addEventListener(kind, (event) => this.take(JSON.parse(event.data), kind === "end", "live"));
    }
    source.addEventListener("ping", () => this.tell("live"));
    source.addEventListener("open", () => this.tell("live"));
    source.addEventListener("error", () => {
      // Whatever the cause, ask at once: it is full (503), over (204), or the server is away.
      if (this.source !== source) return;
      this.close();
      this.poll();
    });
  }

  close() {
    this.source?.close();
    this.source = undefined;
    clearTimeout(this.timer);
  }

  async poll() {
    if (document.hidden || this.state === "ended") return;
    const asked = new AbortController();
    const limit = setTimeout(() => asked.abort(), 10000);
    try {
      const answer = await fetch(`${this.address}/data?after=${encodeURIComponent(this.cursor)}`, { signal: asked.signal });
      if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
      this.take(await answer.json(), false, "polling");
    } catch {
      this.tell("reconnecting");
    } finally {
      clearTimeout(limit);
    }
    if (this.state === "ended" || this.source) return;
    clearTimeout(this.timer);
    const tryStream = this.state === "reconnecting" || Date.now() - this.triedStream > RETRY_STREAM;
    this.timer = setTimeout(() => (tryStream ? this.open() : this.poll()), POLL);
  }

  take(message, isEnd, state) {
    this.heard = Date.now();
    const isReset = message.reset === true;
    this.cursor = message.cursor;
    this.onMessage(message, isReset);
    // A study that has ended may still say what its hosts have now; asking goes on until the stream says that it is over.
    const over = isEnd || (state === "polling" && message.status.verdict && !message.hosts.some((host) => host.doing));
    if (over) this.close();
    this.tell(over ? "ended" : state);
  }

  tell(state) {
    this.heard = state === "reconnecting" ? this.heard : Date.now();
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }

  /** A stream that has gone silent is none: networks drop connections without a word, and machines sleep. */
  notice() {
    if (!document.hidden && this.source && Date.now() - this.heard > SILENCE) this.open();
  }
}
