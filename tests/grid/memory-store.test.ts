// Goal: the memory store keeps the contract of src/grid/store.ts. Method: the contract suite; its
// two handles are one store, as nobody else can reach it.
import { MemoryStore } from "../../src/grid/stores/memory-store.ts";
import { storeContract } from "./store-contract.ts";

storeContract("memory store", () => {
  const store = new MemoryStore();
  return Promise.resolve({
    open: () => Promise.resolve(store),
    end: () => Promise.resolve(),
  });
});
