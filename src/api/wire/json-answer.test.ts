import { strict as assert } from "node:assert";
import { test } from "node:test";
import * as storageGateway from "@aws-sdk/client-storage-gateway";
import { JsonCodec } from "@aws-sdk/core/protocols";
import { jsonOf } from "./json-answer.ts";

type Schema = Parameters<typeof jsonOf>[0];
const EPOCH_SECONDS = 7;

/** What the SDK's own encoder makes of it. */
function bySdk(schema: Schema, value: unknown): unknown {
  const codec = new JsonCodec({
    timestampFormat: { useTrait: true, default: EPOCH_SECONDS },
    jsonName: false,
  });
  const serializer = codec.createSerializer();
  serializer.write(schema as never, value);
  return JSON.parse(String(serializer.flush()));
}

const CASES: readonly [name: string, value: unknown][] = [
  ["ListVolumes", { GatewayARN: undefined, Marker: 'm"\\\u2028é\ud800', VolumeInfos: [] }],
  [
    "DescribeCachediSCSIVolumes",
    {
      CachediSCSIVolumes: [
        {
          VolumeARN: "arn",
          VolumeSizeInBytes: 2 ** 45,
          VolumeProgress: 12.5,
          CreatedDate: new Date(1_700_000_000_123),
          VolumeiSCSIAttributes: { LunNumber: 0, ChapEnabled: false },
          KMSKey: null,
          NotInTheModel: "x",
        },
        {},
      ],
    },
  ],
  ["DescribeGatewayInformation", { Tags: [{ Key: "k", Value: "" }], SupportedGatewayCapacities: ["Small"] }],
  [
    "DescribeMaintenanceStartTime",
    { HourOfDay: 0, SoftwareUpdatePreferences: { AutomaticUpdatePolicy: "x" } },
  ],
  ["DeleteVolume", {}],
];

test("answers are what the SDK's own encoder makes of them", () => {
  for (const [name, value] of CASES) {
    const schema = (storageGateway as unknown as Record<string, Schema>)[`${name}Output$`] as Schema;
    assert.deepEqual(JSON.parse(jsonOf(schema, value)), bySdk(schema, value), name);
  }
});
