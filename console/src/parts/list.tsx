/** A table where there is room for one; where there is none, on a phone, a card for each row, with all of its columns. */
import Cards from "@cloudscape-design/components/cards";
import Table, { type TableProps } from "@cloudscape-design/components/table";
import { type ReactNode, useSyncExternalStore } from "react";

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

export function List<T>(props: TableProps<T>): ReactNode {
  return useNarrow() ? <AsCards {...props} /> : <Table {...props} />;
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
        filter={props.filter}
        pagination={props.pagination}
        preferences={props.preferences}
        empty={props.empty}
      />
      {props.footer}
    </div>
  );
}
