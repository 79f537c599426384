/** The two kinds of bucket that the end-to-end tests run on. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";

export interface TestStore {
  readonly name: string;
  /** Why the tests on it can't run here, or false. */
  readonly skip: string | false;
  /** Options of `sluicegate start` for a vault of its own. */
  options(dataDir: string): string[];
  /** Bytes of all objects of that vault. */
  sizeBytes(dataDir: string): Promise<number>;
}

export const fileStore: TestStore = {
  name: "file",
  skip: false,
  options: (dataDir) => ["--store", `file://${join(dataDir, "the-vault")}`],
  async sizeBytes(dataDir) {
    const items = readdirSync(join(dataDir, "the-vault"), { recursive: true, withFileTypes: true });
    return items
      .filter((item) => item.isFile())
      .reduce((sum, item) => sum + statSync(join(item.parentPath, item.name)).size, 0);
  },
};

const endpoint = process.env.SLUICEGATE_TEST_S3_ENDPOINT;
const bucket = process.env.SLUICEGATE_TEST_S3_BUCKET ?? "";

/** A real S3 server; the credentials are in the environment. */
export const s3Store: TestStore = {
  name: "s3",
  skip: endpoint === undefined ? "no S3 server: SLUICEGATE_TEST_S3_ENDPOINT is not set" : false,
  options: (dataDir) => ["--store", `s3://${bucket}/${prefixOf(dataDir)}`, "--s3-endpoint", endpoint ?? ""],
  async sizeBytes(dataDir) {
    const client = new S3Client({ endpoint: endpoint ?? "", forcePathStyle: true, region: "us-east-1" });
    let sum = 0;
    let token: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: `${prefixOf(dataDir)}/`,
          ContinuationToken: token,
        }),
      );
      for (const { Size } of page.Contents ?? []) sum += Size ?? 0;
      token = page.NextContinuationToken;
    } while (token !== undefined);
    client.destroy();
    return sum;
  },
};

function prefixOf(dataDir: string): string {
  return dataDir.split("/").filter(Boolean).join("/").toLowerCase();
}
