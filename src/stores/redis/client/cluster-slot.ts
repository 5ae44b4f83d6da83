/** Which of the 16,384 hash slots of a Cluster a key is on. */

export const CLUSTER_SLOTS = 16_384;
/** CRC-16/XMODEM, the one of the Cluster specification. */
const POLYNOMIAL = 0x10_21;

const TABLE: Uint16Array = Uint16Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) remainder = (remainder << 1) ^ (remainder & 0x80_00 ? POLYNOMIAL : 0);
  return remainder;
});

/** The slot of `key`: of the text in its first braces, or of all of it when there is none in them. */
export function clusterSlot(key: string): number {
  const open = key.indexOf("{");
  const close = open === -1 ? -1 : key.indexOf("}", open + 1);
  const hashed = close > open + 1 ? key.slice(open + 1, close) : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) crc = ((crc << 8) & 0xff_ff) ^ (TABLE[(crc >> 8) ^ byte] ?? 0);
  return crc % CLUSTER_SLOTS;
}
