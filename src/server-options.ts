/** All that a start of the gateway can be told. */
export interface StartOptions {
  /** Everything the gateway keeps on this machine. */
  readonly dataDir: string;
  /** The API and the console. */
  readonly listen: HostPort;
  /** Portals of the iSCSI target, at least one. */
  readonly iscsi: readonly [HostPort, ...HostPort[]];
  /** What discovery shows in place of the portals: where initiators come through NAT or a container's port. */
  readonly iscsiAdvertise: readonly HostPort[];
  readonly iscsiRedirect: readonly {
    readonly from: HostPort;
    readonly targetName?: string;
    readonly to: HostPort;
  }[];
  /** The vault: `file:///folder` or `s3://bucket/prefix`. */
  readonly storeUrl: string;
  readonly s3Endpoint?: string;
  readonly s3Region?: string;
  /** The region and account in ARNs and signatures. */
  readonly region: string;
  readonly accountId: string;
  /** Block devices that are local disks besides the files in `DATA/disks`. */
  readonly devices: readonly string[];
  /** Sizes of the disks that the first start makes. */
  readonly cacheSizeBytes: number;
  readonly uploadBufferSizeBytes: number;
  /** Which recovery points stay as they grow older: `1h,1d/10m,7d/1h`. */
  readonly keepRecoveryPoints: string;
  readonly webhook?: {
    readonly url: string;
    readonly secret?: string;
    readonly events?: readonly string[];
  };
  readonly logLevel: string;
  /** `json`, or `text`: lines for people. */
  readonly logFormat: "json" | "text";
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}
