import type { DoctorRule } from "../doctor-rule.ts";

/** A server with another system identifier was made by another initdb: it holds nothing of the store, however well it runs. */
export const otherCluster: DoctorRule = {
  name: "other-cluster",
  code: "TM-FINDING-OTHER-CLUSTER",
  severity: "critical",
  title: "Servers of one store belong to different clusters",
  judge({ config, servers }) {
    return Object.keys(config.observed).flatMap((store) => {
      const seen = servers.flatMap(({ store: own, name, survey }) =>
        own === store && survey.known && survey.value.cluster.known
          ? [{ name, identifier: survey.value.cluster.value.systemIdentifier, inRecovery: survey.value.server.inRecovery }]
          : [],
      );
      const clusters = Map.groupBy(seen, ({ identifier }) => identifier);
      if (clusters.size < 2) return [];
      return [
        {
          subject: store,
          evidence: [...clusters].map(
            ([identifier, same]) =>
              `system identifier ${identifier}: ${same.map(({ name, inRecovery }) => `${name} (${inRecovery ? "standby" : "primary"})`).join(", ")}`,
          ),
          fix: [
            "correct the address in the configuration where it leads to another cluster",
            "where a server was initialised anew by mistake: make it a standby again from a base backup of the primary",
          ],
        },
      ];
    });
  },
};
