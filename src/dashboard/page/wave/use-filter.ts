import { useCallback } from 'react';
import { useSearchParams } from 'wouter';
import { type Filter, ORDERS } from '../view/wave-rows.ts';

/** In the address: a wall screen keeps its view across a reload, and a link shows what its sender saw. */
export function useFilter(): [Filter, (filter: Filter) => void] {
  const [params, setParams] = useSearchParams();
  const filter: Filter = {
    search: params.get('search') ?? '',
    isFailingOnly: params.get('only') === 'failing',
    order: ORDERS.find((order) => order === params.get('order')) ?? 'trouble',
  };
  const set = useCallback(
    ({ search, isFailingOnly, order }: Filter) => {
      const next = new URLSearchParams();
      if (search !== '') next.set('search', search);
      if (isFailingOnly) next.set('only', 'failing');
      if (order !== 'trouble') next.set('order', order);
      setParams(next, { replace: true });
    },
    [setParams],
  );
  return [filter, set];
}
