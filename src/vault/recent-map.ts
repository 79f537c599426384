/** A map of bounded weight that drops what was used longest ago. The newest entry stays, however heavy it is. */
export class RecentMap<Value> {
  readonly #map = new Map<string, Value>();
  readonly #weightMax: number;
  readonly #weigh: (value: Value) => number;
  #weight = 0;

  /** Without `weigh` every entry weighs 1. The weight of a value must not change. */
  constructor(weightMax: number, weigh: (value: Value) => number = () => 1) {
    this.#weightMax = weightMax;
    this.#weigh = weigh;
  }

  get(key: string): Value | undefined {
    const value = this.#map.get(key);
    if (value !== undefined) {
      this.#map.delete(key);
      this.#map.set(key, value);
    }
    return value;
  }

  set(key: string, value: Value): void {
    this.delete(key);
    this.#map.set(key, value);
    this.#weight += this.#weigh(value);
    for (const oldest of this.#map.keys()) {
      if (this.#weight <= this.#weightMax || this.#map.size === 1) return;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const value = this.#map.get(key);
    if (value === undefined) return;
    this.#map.delete(key);
    this.#weight -= this.#weigh(value);
  }
}
