/** A table where there is room for one; where there is none, on a phone, a card for each row, with all of its columns. */
import Cards from "@cloudscape-design/components/cards";
import Select from "@cloudscape-design/components/select";
import SpaceBetween from "@cloudscape-design/components/space-between";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import { type ReactNode, useState, useSyncExternalStore } from "react";

const NARROW = "(max-width: 900px)";

/** Whether the window is narrow: a phone, or a tablet held upright. */
export function useNarrow(): boolean {
  return useSyncExternalStore(
    (onChange) => {
      const query = matchMedia(NARROW);
      query.addEventListener("change", onChange);
      return () => query.removeEventListener("change", onChange);
    },
    () => matchMedia(NARROW).matches,
  );
}

/**
 * Columns with a `sortingField` or a `sortingComparator` can be sorted by. Whoever has no `onSortingChange` of his own, since
 * all of his rows are here, gets them sorted; until somebody asks for it they are in the order that they came in.
 */
export function List<T>(props: TableProps<T>): ReactNode {
  const sorted = useOwnSorting(props);
  return useNarrow() ? <AsCards {...sorted} /> : <Table {...sorted} />;
}

function useOwnSorting<T>(props: TableProps<T>): TableProps<T> {
  const [sorting, setSorting] = useState<{
    readonly id: string | undefined;
    readonly isDescending: boolean;
  }>();
  const columns = props.columnDefinitions;
  if (props.onSortingChange !== undefined || !columns.some(isSortable)) return props;
  const column = columns.find(({ id }) => sorting !== undefined && id === sorting.id);
  const compare = column === undefined ? undefined : comparatorOf(column);
  const sign = sorting?.isDescending === true ? -1 : 1;
  return {
    ...props,
    items: compare === undefined ? props.items : [...props.items].sort((a, b) => sign * compare(a, b)),
    sortingColumn: column ?? {},
    sortingDescending: sorting?.isDescending === true,
    onSortingChange: ({ detail }) => {
      const chosen = columns.find((each) => isSameSorting(each, detail.sortingColumn));
      setSorting({ id: chosen?.id, isDescending: detail.isDescending === true });
    },
  };
}

const isSortable = <T,>({ sortingField, sortingComparator }: TableProps.SortingColumn<T>): boolean =>
  sortingField !== undefined || sortingComparator !== undefined;

function isSameSorting<T>(a: TableProps.SortingColumn<T>, b: TableProps.SortingColumn<T>): boolean {
  return a.sortingField === b.sortingField && a.sortingComparator === b.sortingComparator;
}

function comparatorOf<T>({ sortingField, sortingComparator }: TableProps.SortingColumn<T>) {
  if (sortingComparator !== undefined || sortingField === undefined) return sortingComparator;
  const fieldOf = (item: T): unknown => (item as Record<string, unknown>)[sortingField];
  // What has none comes before all that have one.
  return (a: T, b: T): number => {
    const [x, y] = [fieldOf(a) ?? "", fieldOf(b) ?? ""];
    return typeof x === "number" && typeof y === "number"
      ? x - y
      : typeof x === typeof y
        ? String(x).localeCompare(String(y), undefined, { numeric: true })
        : x === ""
          ? -1
          : 1;
  };
}

/** Cards have no headers to be sorted by: a field says by what, and in which direction. */
function SortField<T>({ props }: { props: TableProps<T> }): ReactNode {
  const columns = props.columnDefinitions.filter(isSortable);
  const { sortingColumn, onSortingChange } = props;
  if (columns.length < 2 || onSortingChange === undefined) return null;
  const isDescending = props.sortingDescending === true;
  const options = columns.flatMap(({ id = "", header }) => [
    { value: `+${id}`, label: `${String(header)}, growing` },
    { value: `-${id}`, label: `${String(header)}, falling` },
  ]);
  const current =
    sortingColumn === undefined || !isSortable(sortingColumn)
      ? undefined
      : columns.find((each) => isSameSorting(each, sortingColumn));
  const value = `${isDescending ? "-" : "+"}${current?.id ?? ""}`;
  return (
    <Select
      options={options}
      selectedOption={options.find((each) => each.value === value) ?? null}
      placeholder="Sort by"
      ariaLabel="Sort by"
      onChange={({ detail }) => {
        const wanted = detail.selectedOption.value ?? "";
        const chosen = columns.find(({ id }) => id === wanted.slice(1));
        if (chosen === undefined) return;
        onSortingChange(
          new CustomEvent("sort", {
            detail: { sortingColumn: chosen, isDescending: wanted.startsWith("-") },
          }) as Parameters<typeof onSortingChange>[0],
        );
      }}
    />
  );
}

/** The first column is the card's title. Of all the rest, what is in the card has the column's header as its label. */
function AsCards<T>(props: TableProps<T>): ReactNode {
  const [title, ...columns] = props.columnDefinitions;
  const { trackBy, selectionType, selectedItems, onSelectionChange, ariaLabels } = props;
  return (
    <div className={props.variant === "full-page" ? "card-list" : "card-list card-list-inner"}>
      <Cards<T>
        items={[...props.items]}
        cardDefinition={{
          header: (item) => title?.cell(item),
          sections: columns.map(({ id, header, cell }) => ({
            ...(id !== undefined && { id }),
            header,
            content: cell,
            width: 50,
          })),
        }}
        variant={props.variant === "full-page" ? "full-page" : "container"}
        loading={props.loading ?? false}
        {...(props.loadingText !== undefined && { loadingText: props.loadingText })}
        {...(trackBy !== undefined && { trackBy })}
        {...(selectionType !== undefined && { selectionType })}
        {...(selectedItems !== undefined && { selectedItems: [...selectedItems] })}
        {...(onSelectionChange !== undefined && { onSelectionChange })}
        ariaLabels={{
          selectionGroupLabel: ariaLabels?.selectionGroupLabel ?? "",
          itemSelectionLabel: ({ selectedItems: chosen }, item) =>
            ariaLabels?.itemSelectionLabel?.({ selectedItems: chosen }, item) ?? "",
          ...(ariaLabels?.tableLabel !== undefined && { cardsLabel: ariaLabels.tableLabel }),
        }}
        header={props.header}
        filter={
          <SpaceBetween size="xs">
            {props.filter}
            <SortField props={props} />
          </SpaceBetween>
        }
        pagination={props.pagination}
        preferences={props.preferences}
        empty={props.empty}
      />
      {props.footer}
    </div>
  );
}
