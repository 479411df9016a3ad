import type { DoctorRule } from "../doctor-rule.ts";

/** What cannot be looked at is not known; a copy that nobody can reach may be none. */
export const targetAway: DoctorRule = {
  name: "target-away",
  code: "TM-FINDING-TARGET-AWAY",
  severity: "warning",
  title: "Something that the configuration names cannot be looked at",
  judge({ looks, servers }) {
    const away = looks.flatMap(({ store, target, reading }) =>
      reading.ok ? [] : [{ subject: `${store}/${target}`, why: `${reading.why} (${reading.code})` }],
    );
    const probed = new Set(away.map(({ subject }) => subject));
    // A server that the probe could not see either is one finding, not two.
    const unseen = servers.flatMap(({ store, name, survey }) =>
      survey.known || probed.has(`${store}/postgresql ${name}`) ? [] : [{ subject: `${store}/postgresql ${name}`, why: survey.why }],
    );
    return [...away, ...unseen].map(({ subject, why }) => ({
      subject,
      evidence: [why],
      fix: ["look whether it runs, whether this machine reaches it, and whether the user and the secret in the configuration are right"],
    }));
  },
};
