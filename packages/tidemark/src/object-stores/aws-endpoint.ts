/** What is wrong with `endpoint` as the address of a service, or undefined. It must not carry a user and password: it stands in messages. */
export function endpointProblem(endpoint: string): string | undefined {
  let url: URL;
  try {
    url = new URL(endpoint);
  } catch {
    return "it is no URL";
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return "it begins with neither http:// nor https://";
  if (url.username !== "" || url.password !== "") return "it holds a user or a password; credentials have a setting of their own";
  if (url.search !== "" || url.hash !== "") return "there is something behind its path";
  return undefined;
}
