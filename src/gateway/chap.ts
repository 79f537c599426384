/** Who may log in to volumes' targets: CHAP credentials (RFC 7143, 12.1). */
import type { Catalog } from "../catalog/catalog.ts";
import type { ChapRow, VolumeRow } from "../catalog/schema.ts";
import { GatewayError, invalid } from "./errors.ts";
import type { ChapCredential, VolumeHost } from "./ports.ts";

export interface ChapOptions {
  readonly catalog: Catalog;
  readonly host: VolumeHost;
}

const SECRET_BYTES_MIN = 12;
const SECRET_BYTES_MAX = 16;
/** The three forms of an iSCSI name (RFC 7143, 4.2.7.1): nobody logs in by another. */
const INITIATOR_NAME = /^(iqn|eui|naa)\../i;

export class Chap {
  readonly #options: ChapOptions;

  constructor(options: ChapOptions) {
    this.#options = options;
  }

  async list(volume: VolumeRow): Promise<ChapCredential[]> {
    return (await this.#options.catalog.chap.of(volume.id)).map(credentialOf);
  }

  /**
   * Lets an initiator in by these secrets, in place of those it had. Whoever is logged in and is not admitted by what
   * holds now is out. Throws InitiatorInvalid for a name that no initiator can have, and InvalidParameters
   * for secrets that are none.
   */
  async put(volume: VolumeRow, credential: ChapCredential): Promise<void> {
    const { initiatorName, secretToAuthenticateInitiator, secretToAuthenticateTarget } = credential;
    if (!INITIATOR_NAME.test(initiatorName))
      throw new GatewayError("InitiatorInvalid", "An iSCSI name begins with iqn., eui. or naa.");
    checkSecret("SecretToAuthenticateInitiator", secretToAuthenticateInitiator);
    if (secretToAuthenticateTarget !== undefined) {
      checkSecret("SecretToAuthenticateTarget", secretToAuthenticateTarget);
      // RFC 7143, 12.1.4: whoever answers his own challenge must not get in.
      if (secretToAuthenticateTarget === secretToAuthenticateInitiator) {
        throw invalid("The two secrets must differ.");
      }
    }
    await this.#options.catalog.chap.put({
      volume_id: volume.id,
      initiator_name: initiatorName.toLowerCase(),
      initiator_secret: secretToAuthenticateInitiator,
      target_secret: secretToAuthenticateTarget ?? null,
    });
    await this.#tell(volume);
  }

  /** Throws InitiatorNotFound where there are no such credentials. */
  async remove(volume: VolumeRow, initiatorName: string): Promise<void> {
    const had = await this.#options.catalog.chap.remove(volume.id, initiatorName.toLowerCase());
    if (!had) throw new GatewayError("InitiatorNotFound");
    await this.#tell(volume);
  }

  async #tell(volume: VolumeRow): Promise<void> {
    await this.#options.host.setChap(volume.id, await this.list(volume));
  }
}

/** A catalog's row as the data plane takes it. */
export function credentialOf({ initiator_name, initiator_secret, target_secret }: ChapRow): ChapCredential {
  return {
    initiatorName: initiator_name,
    secretToAuthenticateInitiator: initiator_secret,
    ...(target_secret !== null && { secretToAuthenticateTarget: target_secret }),
  };
}

function checkSecret(member: string, secret: string): void {
  const bytes = Buffer.byteLength(secret, "utf8");
  if (bytes < SECRET_BYTES_MIN || bytes > SECRET_BYTES_MAX) {
    throw invalid(`${member}: ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes.`);
  }
}
