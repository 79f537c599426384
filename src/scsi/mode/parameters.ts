/** The mode parameters that an initiator can change (SPC-4, 7.5). They last until the unit is reset. */
export interface ModeParameters {
  /** SWP of the Control page: writes are refused. */
  readonly writeProtect: boolean;
  /** D_SENSE of the Control page: sense data in descriptor format. */
  readonly descriptorSense: boolean;
  /** WCE=0 of the Caching page: a write is durable before it is answered. */
  readonly isWriteThrough: boolean;
}

export const DEFAULT_MODES: ModeParameters = {
  writeProtect: false,
  descriptorSense: false,
  isWriteThrough: false,
};
