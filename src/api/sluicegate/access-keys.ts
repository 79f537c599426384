/** CreateSession, and the access keys: ListAccessKeys, CreateAccessKey, DeleteAccessKey, RotateAccessKey. */
import type { ListedKey } from "../../gateway/access-keys.ts";
import type { AccessKey, Role } from "../../gateway/credentials.ts";
import type { Services } from "../../gateway/services.ts";
import type { Operation } from "../operation.ts";

interface SessionInput {
  /** 900 to 43,200; an hour without it. */
  readonly DurationSeconds?: number;
  /** Without it, what the key has. */
  readonly Role?: Role;
}

interface SessionOutput {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly SessionToken: string;
  /** Seconds since the Unix epoch. */
  readonly Expiration: number;
  readonly Role: Role;
}

/** CreateSession: temporary credentials with the caller's rights, or fewer. They end with their time or their key. */
export const createSession: Operation<Services, SessionInput, SessionOutput> = {
  name: "CreateSession",
  async handle({ accessKeys }, { DurationSeconds, Role }, { accessKeyId }) {
    const durationMs = DurationSeconds === undefined ? undefined : DurationSeconds * 1000;
    const session = accessKeys.createSession(accessKeyId, Role, durationMs);
    return {
      AccessKeyId: session.accessKeyId,
      SecretAccessKey: session.secretAccessKey,
      SessionToken: session.sessionToken,
      Expiration: session.expiresAtMs / 1000,
      Role: session.role,
    };
  },
};

interface KeyShape {
  readonly Name: string;
  readonly AccessKeyId: string;
  readonly Role: Role;
  readonly ExpirationTime?: number;
  readonly LastUsedTime?: number;
}

/** ListAccessKeys: all of them, without their secrets. */
export const listAccessKeys: Operation<Services, object, { readonly AccessKeys: readonly KeyShape[] }> = {
  name: "ListAccessKeys",
  async handle({ accessKeys }) {
    return { AccessKeys: accessKeys.list().map(shapeOf) };
  },
};

type NewKeyShape = KeyShape & { readonly SecretAccessKey: string };

/** CreateAccessKey: the only answer that ever holds the secret. */
export const createAccessKey: Operation<
  Services,
  { readonly Name: string; readonly Role: Role },
  NewKeyShape
> = {
  name: "CreateAccessKey",
  async handle({ accessKeys }, { Name, Role }) {
    return newShapeOf(accessKeys.create(Name, Role));
  },
};

/** DeleteAccessKey: by its name or its id. */
export const deleteAccessKey: Operation<Services, { readonly Name: string }, { readonly Name: string }> = {
  name: "DeleteAccessKey",
  async handle({ accessKeys }, { Name }) {
    accessKeys.remove(Name);
    return { Name };
  },
};

interface RotateInput {
  readonly Name: string;
  /** How long the old pair stays good; a day without it. */
  readonly KeepOldSeconds?: number;
}

const KEEP_OLD_SECONDS_DEFAULT = 24 * 3600;

/** RotateAccessKey: a new id and secret for the key of that name. */
export const rotateAccessKey: Operation<Services, RotateInput, NewKeyShape> = {
  name: "RotateAccessKey",
  async handle({ accessKeys }, { Name, KeepOldSeconds = KEEP_OLD_SECONDS_DEFAULT }) {
    return newShapeOf(accessKeys.rotate(Name, KeepOldSeconds * 1000));
  },
};

function shapeOf({ name, accessKeyId, role, expiresAtMs, lastUsedAtMs }: ListedKey): KeyShape {
  return {
    Name: name,
    AccessKeyId: accessKeyId,
    Role: role,
    ...(expiresAtMs !== undefined && { ExpirationTime: expiresAtMs / 1000 }),
    ...(lastUsedAtMs !== undefined && { LastUsedTime: lastUsedAtMs / 1000 }),
  };
}

function newShapeOf(key: AccessKey): NewKeyShape {
  return { ...shapeOf(key), SecretAccessKey: key.secretAccessKey };
}
