/** The world drawn by its cities alone: each one glows as far as its people reach. */
import type { City } from "./cities.ts";
import { encodePng } from "./png.ts";

type Colour = readonly [red: number, green: number, blue: number];

/** From thinly to densely settled, on a transparent ground: for bright pages and for dark ones. */
export const PALETTES = {
  light: [
    [92, 160, 178],
    [17, 82, 120],
    [190, 52, 40],
  ],
  dark: [
    [40, 112, 150],
    [240, 164, 66],
    [255, 246, 220],
  ],
} as const satisfies Record<string, readonly [Colour, Colour, Colour]>;

export type Palette = keyof typeof PALETTES;

/** North and south of these live too few people to draw. */
const NORTH = 78;
const SOUTH = -56;

/** A PNG `width` pixels wide, one degree of latitude as high as one of longitude is wide. */
export function drawWorldMap(cities: readonly City[], width: number, palette: Palette): Buffer {
  const pixelsPerDegree = width / 360;
  const height = Math.round((NORTH - SOUTH) * pixelsPerDegree);
  const light = new Float32Array(width * height);
  for (const { latitude, longitude, population } of cities) {
    const x = (longitude + 180) * pixelsPerDegree;
    const y = (NORTH - latitude) * pixelsPerDegree;
    glow(light, width, height, x, y, reach(population) * (width / 1200), brightness(population));
  }
  return encodePng(width, height, colour(light, PALETTES[palette]));
}

function reach(population: number): number {
  return 0.6 + Math.sqrt(population) / 1000;
}

function brightness(population: number): number {
  return 0.1 + Math.log10(1 + population) / 16;
}

/** Adds a soft round spot. */
function glow(
  light: Float32Array,
  width: number,
  height: number,
  x: number,
  y: number,
  radius: number,
  peak: number,
): void {
  const extent = Math.ceil(radius * 2.5);
  for (let row = Math.max(0, Math.floor(y) - extent); row <= Math.min(height - 1, y + extent); row++) {
    for (let column = Math.max(0, Math.floor(x) - extent); column <= Math.min(width - 1, x + extent); column++) {
      const distance = ((column + 0.5 - x) ** 2 + (row + 0.5 - y) ** 2) / (radius * radius);
      if (distance < 6) light[row * width + column]! += peak * Math.exp(-distance);
    }
  }
}

function colour(light: Float32Array, [thin, settled, dense]: readonly [Colour, Colour, Colour]): Uint8Array {
  const pixels = new Uint8Array(light.length * 4);
  for (let at = 0; at < light.length; at++) {
    const amount = light[at]!;
    if (amount < 0.02) continue;
    const density = 1 - Math.exp(-amount / 3.5);
    const [from, to, share] = density < 0.5 ? [thin, settled, density * 2] : [settled, dense, density * 2 - 1];
    for (let channel = 0; channel < 3; channel++) {
      pixels[at * 4 + channel] = from[channel]! + (to[channel]! - from[channel]!) * share;
    }
    pixels[at * 4 + 3] = 255 * Math.min(1, amount * 2.6);
  }
  return pixels;
}
