/** The peer broke the protocol: its PDU is rejected, or its connection dropped. Never thrown for anything else. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
}
