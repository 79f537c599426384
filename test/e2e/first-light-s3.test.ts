import { firstLight } from "./first-light.ts";
import { s3Store } from "./store.ts";

firstLight(s3Store);
