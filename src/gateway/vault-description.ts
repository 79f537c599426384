/** How much there is in a vault. */
export interface VaultDescription {
  readonly vaultId: string;
  /** Where it is; holds no secret. */
  readonly store: string;
  readonly packs: number;
  readonly chunks: number;
  readonly plainBytes: number;
  readonly storedBytes: number;
  /** What opens it: key files and passphrases, by names that tell nothing of them. */
  readonly keys: readonly {
    readonly name: string;
    /** `key-file` or `passphrase`. */
    readonly type: string;
    readonly madeAtMs?: number;
  }[];
}
