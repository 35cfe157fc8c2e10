// When ICE is restarted. It may fail within a moment when the other side's candidates are still on their
// way, and each restart costs a round of checks, and relays where these are used: restarts keep apart, the
// second a second behind the first, each further one twice as long after the one before.

const FIRST_MS = 1_000;
const EVERY_MS = 6_000; // a check round takes up to 5 s

/** Calls `restart` until it is told that the connection stands, or to stop. */
export class Restarts {
  private timer?: ReturnType<typeof setTimeout>;
  private count = 0; // since it last stood
  private at = -Infinity;

  /** @param delay ms added to each, for the side that leaves the first try to the other */
  constructor(
    private readonly restart: () => void,
    private readonly delay = () => 0,
  ) {}

  /** One restart in `ms` at the earliest, and again every few seconds; replaces what was planned. */
  plan(ms: number): void {
    clearTimeout(this.timer);
    const apart = Math.min(EVERY_MS, FIRST_MS * 2 ** this.count);
    this.timer = setTimeout(
      () => {
        this.at = Date.now();
        this.count++;
        this.plan(EVERY_MS); // before, since it may fail, and plan, at once
        this.restart();
      },
      Math.max(ms, this.at + apart - Date.now()) + this.delay(),
    );
  }

  /** The connection stands. */
  stood(): void {
    this.stop();
    this.count = 0;
  }

  stop(): void {
    clearTimeout(this.timer);
  }
}
