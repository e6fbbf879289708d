// The addresses that the page asks, of the exchange that is shown where several are collected.

let exchange = null;

/** Takes the exchange that is shown, or null where there is one only. */
export function setExchange(name) {
  exchange = name;
}

/** The address of a route with these parameters, of the exchange that is shown or of another one. */
export function routeOf(path, parameters = {}, of = exchange) {
  const query = String(new URLSearchParams(of === null ? parameters : { ...parameters, exchange: of }));
  return query === "" ? path : `${path}?${query}`;
}
