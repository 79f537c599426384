/** What the network may make this target use. */
export interface TargetLimits {
  /** Sessions of all targets together; one more is refused by the book. */
  readonly sessionsMax: number;
  /** Discovery sessions, which nobody has to prove anything for: they take no room from the others. */
  readonly discoverySessionsMax: number;
  /** Connections that have not logged in yet; one more ends the oldest of them. */
  readonly pendingConnectionsMax: number;
  readonly sessionsPerTargetMax: number;
  /** Commands of one session that are not answered yet; MaxCmdSN tells the initiator. */
  readonly tasksPerSessionMax: number;
  /** Bytes of Data-Out buffers of one session; and of all, with those of reads that take long. */
  readonly sessionBufferBytesMax: number;
  readonly totalBufferBytesMax: number;
  /** Bytes of Data-Out buffers of one session while three quarters of what there is are in use. */
  readonly sessionBufferShareBytes: number;
  /** Bytes waiting for a peer that does not take them before no more of its commands are looked at. */
  readonly backlogBytesMax: number;
  /** The same of all peers together: beyond it, one that has any waiting is not looked at. */
  readonly totalBacklogBytesMax: number;
  /** Bytes of answers built for one connection before the others have their turn. */
  readonly turnBytesMax: number;
  readonly loginTimeoutMs: number;
  /**
   * A peer that says nothing for so long is asked, and after as long again dropped; so is one that sends nothing of the
   * data that it was asked for.
   */
  readonly pingAfterMs: number;
}

export const DEFAULT_TARGET_LIMITS: TargetLimits = {
  sessionsMax: 512,
  discoverySessionsMax: 64,
  pendingConnectionsMax: 128,
  sessionsPerTargetMax: 64,
  tasksPerSessionMax: 128,
  sessionBufferBytesMax: 128 * 1024 * 1024,
  totalBufferBytesMax: 512 * 1024 * 1024,
  sessionBufferShareBytes: 8 * 1024 * 1024,
  backlogBytesMax: 4 * 1024 * 1024,
  totalBacklogBytesMax: 256 * 1024 * 1024,
  turnBytesMax: 512 * 1024,
  loginTimeoutMs: 15_000,
  pingAfterMs: 30_000,
};
