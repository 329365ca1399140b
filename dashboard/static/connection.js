/* Learns when a study has news: from an event stream, or by polling where there is none. It rests while the page is
   hidden: browsers allow six connections per host, and a page that nobody sees needs none. */

const POLL = 3000;
const PAUSE = 1000; // at least, between two updates
const SILENCE = 30000; // the stream sends a ping every ten seconds
const RETRY_STREAM = 30000;

export class Connection {
  /**
   * stream(): the stream's address. update(): fetches the news; a promise of whether the study is over. isOver: it is
   * over already. onState(state): one of live, polling, reconnecting, ended.
   */
  constructor(stream, update, isOver, onState) {
    Object.assign(this, { stream, update, onState, state: isOver ? "ended" : "loaded", heard: Date.now() });
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open());
    addEventListener("online", () => this.open());
    // Networks drop connections without a word, and machines sleep.
    setInterval(() => this.source && Date.now() - this.heard > SILENCE && this.open(), 5000);
    if (!isOver) this.open();
  }

  open() {
    if (document.hidden) return;
    this.close();
    if (this.state === "ended") {
      this.fetchNews("live"); // whoever comes back may have resumed the study
      return;
    }
    this.openedAt = Date.now();
    const source = new EventSource(this.stream());
    this.source = source;
    for (const kind of ["open", "ping"]) source.addEventListener(kind, () => this.show("live"));
    for (const kind of ["message", "reset", "end"]) source.addEventListener(kind, () => this.fetchNews("live"));
    source.addEventListener("error", () => {
      // No free stream (503), no more news (204), or no server: polling finds out.
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

  poll() {
    if (document.hidden || this.state === "ended") return;
    this.fetchNews("polling");
    this.timer = setTimeout(() => {
      if (this.state === "reconnecting" || Date.now() - this.openedAt > RETRY_STREAM) this.open();
      else this.poll();
    }, POLL);
  }

  async fetchNews(state) {
    this.pending = state;
    if (this.fetching) return;
    this.fetching = true;
    while (this.pending) {
      const reached = this.pending;
      this.pending = undefined;
      try {
        const over = await this.update();
        const isResumed = !over && this.state === "ended";
        if (over) this.close();
        this.show(over ? "ended" : reached);
        if (isResumed) this.open();
      } catch {
        if (this.state === "ended") continue;
        this.show("reconnecting");
        if (this.source) {
          this.close();
          this.timer = setTimeout(() => this.open(), POLL);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    this.fetching = false;
  }

  show(state) {
    if (state !== "reconnecting") this.heard = Date.now();
    if (state === this.state) return;
    this.state = state;
    this.onState(state);
  }
}
