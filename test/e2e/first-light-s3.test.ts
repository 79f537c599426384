import { firstLight } from "./first-light.ts";
import { s3Store } from "./store.ts";

// Half of the other one's image: every restored volume is fetched whole, and a second gibibyte of it shows nothing new.
firstLight(s3Store, 500);
