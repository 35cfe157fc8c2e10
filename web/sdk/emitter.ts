/** A small typed event emitter. A listener that throws does not stop the others. */
export class Emitter<Events> {
  private listeners = new Map<keyof Events, Set<(value: never) => void>>();

  /** Calls fn for every event of this name; the returned function ends that. */
  on<K extends keyof Events>(name: K, fn: (value: Events[K]) => void): () => void {
    let set = this.listeners.get(name);
    if (!set) this.listeners.set(name, (set = new Set()));
    set.add(fn as (value: never) => void);
    return () => set.delete(fn as (value: never) => void);
  }

  /** Resolves with the next event of this name. */
  once<K extends keyof Events>(name: K): Promise<Events[K]> {
    return new Promise((resolve) => {
      const off = this.on(name, (value) => {
        off();
        resolve(value);
      });
    });
  }

  protected emit<K extends keyof Events>(name: K, value: Events[K]): void {
    for (const fn of [...(this.listeners.get(name) ?? [])]) {
      try {
        (fn as (value: Events[K]) => void)(value);
      } catch (err) {
        console.error(`parley: listener of ${String(name)} failed`, err);
      }
    }
  }
}
