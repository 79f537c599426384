// Which test files are begun first, and which have nothing beside them. Plain JavaScript for Node 18.

/**
 * Seconds that the longest files take, roughly: they are begun first, so that none of them is what the others have
 * to wait for at the end. Those that are not named take less; a run names each file that takes more than five.
 */
export const SECONDS = {
  "src/objects/swift.test.ts": 34,
  "src/vault/bulk-reader.test.ts": 11,
  "src/vault/deltas.test.ts": 11,
  "src/vault/steps.test.ts": 13,
  "src/vault/vault-faults.test.ts": 12,
  "src/vault/verifier.test.ts": 15,
  "test/docs/site.test.ts": 14,
  "test/e2e/api-snapshot-services.test.ts": 17,
  "test/e2e/bucket-down.test.ts": 20,
  "test/e2e/cli-manners.test.ts": 26,
  "test/e2e/cli.test.ts": 18,
  "test/e2e/console-dialogs.test.ts": 18,
  "test/e2e/console-pages.test.ts": 25,
  "test/e2e/debian-package.test.ts": 22,
  "test/e2e/docs-commands.test.ts": 56,
  "test/e2e/ebs-direct.test.ts": 29,
  "test/e2e/ebs-transfer.test.ts": 14,
  "test/e2e/first-light-file.test.ts": 65,
  "test/e2e/first-light-s3.test.ts": 60,
  "test/e2e/iscsi-conformance.test.ts": 37,
  "test/e2e/linux-initiator.test.ts": 90,
  "test/e2e/outage.test.ts": 31,
  "test/e2e/packed.test.ts": 17,
  "test/e2e/recover-settings.test.ts": 17,
  "test/e2e/recover.test.ts": 45,
  "test/e2e/scsi-state.test.ts": 12,
  "test/e2e/snapshots-on-s3.test.ts": 22,
  "test/e2e/terraform-ec2.test.ts": 12,
  "test/e2e/transfer.test.ts": 54,
  "test/e2e/vault-keys.test.ts": 23,
  "test/e2e/vault-upkeep.test.ts": 31,
  "test/e2e/volume-engine.test.ts": 26,
  "test/servers/rgw.test.ts": 29,
  "test/simulation/mutants.test.ts": 77,
  "test/simulation/vault-mutants.test.ts": 63,
  "test/simulation/vault.test.ts": 23,
  "test/simulation/volume-more.test.ts": 129,
  "test/simulation/volume.test.ts": 123,
};

/** Files that can't share the machine, each with the reason. Everything else has to pass on a busy one. */
export const ALONE = {
  "test/e2e/load.test.ts": "100 clients take both cores, and what is counted is how many are served at all",
};

/** The files in the order in which they are begun. */
export function longestFirst(files) {
  return [...files].sort((a, b) => (SECONDS[b] ?? 0) - (SECONDS[a] ?? 0));
}
